// The entry point that every unit test program shares; the cases are in <folder>/*_test.cc.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
