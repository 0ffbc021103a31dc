# How every file of the project is compiled.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

# MUST() does not look at NDEBUG and stays on everywhere; this only settles the optimisation.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g")

add_library(headgate_flags INTERFACE)
target_compile_options(headgate_flags INTERFACE -Wall -Wextra -Wpedantic -Werror)
target_include_directories(headgate_flags INTERFACE ${CMAKE_SOURCE_DIR})

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(headgate_flags INTERFACE -fstack-protector-strong)
  target_compile_definitions(headgate_flags INTERFACE _FORTIFY_SOURCE=2)
else()
  target_compile_definitions(headgate_flags INTERFACE _GLIBCXX_ASSERTIONS)
endif()

if(HEADGATE_SANITIZE)
  target_compile_options(headgate_flags INTERFACE
    -fsanitize=${HEADGATE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1
    -Wno-maybe-uninitialized)  # GCC 12 warns falsely about std::variant here
  target_link_options(headgate_flags INTERFACE -fsanitize=${HEADGATE_SANITIZE})
endif()

if(HEADGATE_LTO)
  include(CheckIPOSupported)
  check_ipo_supported(LANGUAGES CXX)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()
