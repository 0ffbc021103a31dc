// What ThreadSanitizer is not to report of the program. In the program itself, since a file beside
// it may be closed to the user that it runs as.

// Debian's HTTP library is not instrumented: that its threads wait for each other where one of them
// makes a static set of words for all cannot be seen, only that others read it.
extern "C" const char* __tsan_default_suppressions();   // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __tsan_default_suppressions() {  // NOLINT(bugprone-reserved-identifier)
  return "called_from_lib:libcpp-httplib.so\n";
}
