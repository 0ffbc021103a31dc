# What ctest runs: one doctest program for each room, one pytest run for each file of tests/e2e, and
# tests/tidy.py. `./dev test` (tests/count.py) adds up what they report.
set(system_python /usr/bin/python3)  # Debian's, which sees the drivers installed by apt

file(GLOB main CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/main.cc)
add_library(unit_main OBJECT ${main})
target_link_libraries(unit_main PUBLIC headgate_flags)

# headgate_unit_test(FOLDER [LINKS library...]): the program unit_<folder>, linked to that room alone
# and to what the room itself may use.
function(headgate_unit_test folder)
  cmake_parse_arguments(PARSE_ARGV 1 test "" "" "LINKS")
  string(REPLACE "/" "_" name "${folder}")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${folder}/*.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(unit_${name} ${sources})
  target_link_libraries(unit_${name} PRIVATE unit_main room_${name} ${test_LINKS})
  set_target_properties(unit_${name} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME unit_${name} COMMAND unit_${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(unit_${name} PROPERTIES LABELS unit TIMEOUT 600)
endfunction()

find_library(pg_query pg_query REQUIRED)  # PostgreSQL's own scanner, to compare ours with

headgate_unit_test(base)
headgate_unit_test(protocol LINKS ${pg_query})
headgate_unit_test(auth)
headgate_unit_test(pool)
headgate_unit_test(conf)
headgate_unit_test(admin)
headgate_unit_test(proxy)
headgate_unit_test(proxy/tls)
headgate_unit_test(proxy/uv)
headgate_unit_test(proxy/directory)
headgate_unit_test(proxy/http)

file(GLOB e2e_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/e2e/test_*.py)
set(pytest ${system_python} -m pytest -p no:cacheprovider --color=no -q)

if(HEADGATE_SANITIZE)
  # Only what is marked for it, and only the files that hold such a mark: an empty run is a failure.
  list(APPEND pytest -m sanitizers)
  set(all_files ${e2e_files})
  set(e2e_files)
  foreach(file IN LISTS all_files)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    file(STRINGS ${file} marks REGEX "mark\\.sanitizers")
    if(marks)
      list(APPEND e2e_files ${file})
    endif()
  endforeach()
else()
  add_test(NAME tidy COMMAND ${system_python} ${CMAKE_SOURCE_DIR}/tests/tidy.py)
  add_test(NAME count COMMAND ${system_python} ${CMAKE_SOURCE_DIR}/tests/count.py)
  set_tests_properties(tidy count PROPERTIES LABELS tidy)
endif()

if(NOT HEADGATE_SANITIZE)
  add_test(NAME differential COMMAND ${pytest} test_differential.py
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/tests/differential)
  set_tests_properties(differential PROPERTIES
    LABELS differential
    TIMEOUT 600
    RUN_SERIAL ON
    ENVIRONMENT "HEADGATE_PROGRAM=${CMAKE_BINARY_DIR}/headgate;PYTHONDONTWRITEBYTECODE=1")
endif()

# What mostly waits may run beside others; the rest loads the machine and watches clocks.
set(e2e_beside_others
  auth_directories auth_query_hostile docs drop_database examples explain_waits faults_crash
  health_check log_json log_secrets manifests reload replication session_audit session_listen
  settings_effects settings_forgetting timeouts)

foreach(file IN LISTS e2e_files)
  get_filename_component(name ${file} NAME_WE)
  string(REGEX REPLACE "^test_" "e2e_" name ${name})
  add_test(NAME ${name} COMMAND ${pytest} ${file} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/tests/e2e)
  string(REGEX REPLACE "^e2e_" "" subject ${name})
  list(FIND e2e_beside_others ${subject} beside_others)
  if(beside_others EQUAL -1)
    set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
  endif()
  set_tests_properties(${name} PROPERTIES
    LABELS e2e
    TIMEOUT 1200
    ENVIRONMENT "HEADGATE_PROGRAM=${CMAKE_BINARY_DIR}/headgate;PYTHONDONTWRITEBYTECODE=1")
endforeach()
