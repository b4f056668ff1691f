/* Only in `make sanitize`. Leaks are not looked for at exit: the helper keeps what it parsed until it ends, and
 * the leak checker attaches to its own process, which is not dumpable. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
  return "detect_leaks=0:abort_on_error=1";
}
