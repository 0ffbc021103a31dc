# headgate_room(FOLDER USES room... LINKS library...)
#
# The static library room_<folder> from the .cc files of that folder (not of its subfolders; main.cc
# belongs to the program). A room without a .cc is an interface library, so that the others need not
# know the difference.
function(headgate_room folder)
  cmake_parse_arguments(PARSE_ARGV 1 room "" "" "USES;LINKS")
  string(REPLACE "/" "_" name "room_${folder}")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/${folder}/*.cc)
  list(REMOVE_ITEM sources ${CMAKE_SOURCE_DIR}/proxy/main.cc)

  if(sources)
    add_library(${name} STATIC ${sources})
    set(reach PUBLIC)
  else()
    add_library(${name} INTERFACE)
    set(reach INTERFACE)
  endif()
  list(TRANSFORM room_USES PREPEND "room_")
  list(TRANSFORM room_USES REPLACE "/" "_")
  target_link_libraries(${name} ${reach} headgate_flags ${room_USES} ${room_LINKS})
endfunction()

# The program. It alone gets jemalloc; sanitizers bring an allocator of their own.
function(headgate_program)
  file(GLOB main CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/proxy/main.cc)
  if(NOT main)
    return()
  endif()
  add_executable(headgate ${main})
  target_link_libraries(headgate PRIVATE room_proxy_uv room_proxy_directory room_proxy_http)
  if(NOT HEADGATE_SANITIZE)
    target_link_libraries(headgate PRIVATE PkgConfig::jemalloc)
    target_link_options(headgate PRIVATE -Wl,--no-as-needed)  # nothing asks for it by name
  endif()
  if(HEADGATE_SANITIZE MATCHES thread)
    target_sources(headgate PRIVATE ${CMAKE_SOURCE_DIR}/tests/tsan_suppressions.cc)
  endif()
  install(TARGETS headgate RUNTIME DESTINATION bin)
endfunction()
