# The fuzz targets: each tests/fuzz/<name>_fuzz.cc is the program fuzz_<name>. Everywhere it is a test
# that runs the target over tests/fuzz/corpus/<name>. With HEADGATE_FUZZ (which wants clang++) it is
# linked to libFuzzer instead, and the rooms are built with what libFuzzer needs to see.
option(HEADGATE_FUZZ "Build the fuzz targets for libFuzzer" OFF)

if(HEADGATE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "HEADGATE_FUZZ needs clang++: libFuzzer is a part of it")
  endif()
  set(fuzz_sanitizers address,undefined)
  # The rooms link to headgate_flags, so this reaches them although they stand above.
  target_compile_options(headgate_flags INTERFACE
    -fsanitize=fuzzer-no-link,${fuzz_sanitizers} -fno-sanitize-recover=all
    -fno-omit-frame-pointer -O1)
  target_link_options(headgate_flags INTERFACE -fsanitize=${fuzz_sanitizers})
else()
  add_library(fuzz_replay OBJECT ${CMAKE_SOURCE_DIR}/tests/fuzz/replay.cc)
  target_link_libraries(fuzz_replay PUBLIC headgate_flags)
endif()

# headgate_fuzz_target(NAME LINKS library...): the program fuzz_<NAME> from tests/fuzz/<NAME>_fuzz.cc.
function(headgate_fuzz_target name)
  cmake_parse_arguments(PARSE_ARGV 1 target "" "" "LINKS")
  set(program fuzz_${name})
  add_executable(${program} ${CMAKE_SOURCE_DIR}/tests/fuzz/${name}_fuzz.cc)
  target_link_libraries(${program} PRIVATE ${target_LINKS})
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  set_property(GLOBAL APPEND PROPERTY headgate_fuzz_programs ${program})
  if(HEADGATE_FUZZ)
    target_link_options(${program} PRIVATE -fsanitize=fuzzer)
    return()
  endif()
  target_link_libraries(${program} PRIVATE fuzz_replay unit_main)
  add_test(NAME ${program} COMMAND ${program} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${program} PROPERTIES
    LABELS fuzz
    TIMEOUT 120
    ENVIRONMENT "HEADGATE_CORPUS=${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name}")
endfunction()

headgate_fuzz_target(framer          LINKS room_protocol)
headgate_fuzz_target(startup         LINKS room_protocol)
headgate_fuzz_target(frontend        LINKS room_protocol)
headgate_fuzz_target(backend         LINKS room_protocol)
headgate_fuzz_target(error_fields    LINKS room_protocol)
headgate_fuzz_target(sql_scanner     LINKS room_protocol)
headgate_fuzz_target(sql_statements  LINKS room_protocol)
headgate_fuzz_target(session_marks   LINKS room_protocol)
headgate_fuzz_target(read_verdict    LINKS room_protocol)
headgate_fuzz_target(session_state   LINKS room_protocol)
headgate_fuzz_target(exchange        LINKS room_protocol)
headgate_fuzz_target(exchange_server LINKS room_protocol)
headgate_fuzz_target(auth_packets    LINKS room_auth)
headgate_fuzz_target(scram           LINKS room_auth)
headgate_fuzz_target(secret          LINKS room_auth)
headgate_fuzz_target(client_auth     LINKS room_auth)
headgate_fuzz_target(server_auth     LINKS room_auth)
headgate_fuzz_target(login           LINKS room_auth)
headgate_fuzz_target(userlist        LINKS room_auth)
headgate_fuzz_target(hba             LINKS room_auth)
headgate_fuzz_target(ldap_options    LINKS room_auth)
headgate_fuzz_target(connstr         LINKS room_conf)
headgate_fuzz_target(ini             LINKS room_conf)
headgate_fuzz_target(config          LINKS room_conf)
headgate_fuzz_target(console_line    LINKS room_admin)
headgate_fuzz_target(console_protocol LINKS room_admin)
headgate_fuzz_target(metric_labels   LINKS room_admin)
headgate_fuzz_target(quote_literal   LINKS room_proxy)
headgate_fuzz_target(parameters      LINKS room_proxy)
headgate_fuzz_target(intern          LINKS room_proxy)
headgate_fuzz_target(session         LINKS sim_world)

get_property(fuzz_programs GLOBAL PROPERTY headgate_fuzz_programs)
add_custom_target(fuzz_programs DEPENDS ${fuzz_programs})
