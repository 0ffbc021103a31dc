# Compiles admin/page/ into the program: cmake -D OUT=page_files.cc -D PAGE=admin/page -P page.cmake
# writes the source that defines page_files() of admin/page_files.h.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(page ${CMAKE_SOURCE_DIR}/admin/page)
  set(page_files ${CMAKE_BINARY_DIR}/page_files.cc)
  add_custom_command(OUTPUT ${page_files}
    COMMAND ${CMAKE_COMMAND} -D OUT=${page_files} -D PAGE=${page} -P ${CMAKE_CURRENT_LIST_FILE}
    DEPENDS ${CMAKE_CURRENT_LIST_FILE} ${page}/index.html ${page}/page.css ${page}/page.js
      ${page}/uplot/uPlot.iife.min.js ${page}/uplot/uPlot.min.css
    VERBATIM)
  target_sources(room_admin PRIVATE ${page_files})
  return()
endif()

set(javascript "text/javascript; charset=utf-8")
set(css "text/css; charset=utf-8")
set(text "#include \"admin/page_files.h\"\n\nnamespace headgate {\nnamespace {\n\n")
set(rows "")

function(embed path type file)
  file(READ ${PAGE}/${file} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "(................................................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(MAKE_C_IDENTIFIER "bytes_of_${file}" name)
  set(text "${text}const unsigned char ${name}[] = {\n${hex}\n};\n" PARENT_SCOPE)
  set(rows "${rows}    {\"${path}\", \"${type}\", {reinterpret_cast<const char*>(${name}), ${size}}},\n" PARENT_SCOPE)
endfunction()

embed("/" "text/html; charset=utf-8" index.html)
embed("/page.css" "${css}" page.css)
embed("/page.js" "${javascript}" page.js)
embed("/uplot.js" "${javascript}" uplot/uPlot.iife.min.js)
embed("/uplot.css" "${css}" uplot/uPlot.min.css)
file(WRITE ${OUT} "${text}\nconst PageFile files[] = {\n${rows}};\n\n}  // namespace\n\nstd::span<const PageFile> page_files() { return files; }\n\n}  // namespace headgate\n")
