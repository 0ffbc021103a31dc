# The simulator: the real sessions over simulated streams, time and servers. That it links without
# libuv proves that they touch nothing else.
file(GLOB sim_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/sim/*.cc)
list(REMOVE_ITEM sim_sources ${CMAKE_SOURCE_DIR}/tests/sim/main.cc)
add_library(sim_world STATIC ${sim_sources})
target_link_libraries(sim_world PUBLIC room_proxy)

add_executable(sim ${CMAKE_SOURCE_DIR}/tests/sim/main.cc)
target_link_libraries(sim PRIVATE sim_world)
set_target_properties(sim PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)

# The same seeds each time, so that a test that failed fails again; fresh ones are for ./dev soak.
set(sim_seeds 10000)
if(HEADGATE_SANITIZE OR CMAKE_CXX_FLAGS MATCHES "--coverage")
  set(sim_seeds 2000)
endif()
add_test(NAME sim COMMAND sim --from 1 --count ${sim_seeds})
set_tests_properties(sim PROPERTIES LABELS sim TIMEOUT 600)
# What fails in the crowd fails when it is told alone.
add_test(NAME sim_twice COMMAND sim --from 1 --count 1000 --twice)
set_tests_properties(sim_twice PROPERTIES LABELS sim TIMEOUT 600)
add_test(NAME plants COMMAND ${system_python} ${CMAKE_SOURCE_DIR}/tests/sim/plants.py --check)
set_tests_properties(plants PROPERTIES LABELS sim)
