/* Runs other programs and waits: `ip` and `nft` on scripts, to set a pool up and to take it down; `mke2fs` for a run
 * whose scratch needs a file system of its own. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "network.h"

#define STEP "net"

/* In the child: with `input` as its standard input, in the network namespace `netns` unless that is -1. */
__attribute__((noreturn)) static void exec_tool(const char *const *argv, int input, int output, int netns) {
  if (netns >= 0 && setns(netns, CLONE_NEWNET) != 0) _exit(EXIT_OURS);
  static char path[] = DEFAULT_PATH, language[] = "LC_ALL=C";
  if (clearenv() != 0 || putenv(path) != 0 || putenv(language) != 0) _exit(EXIT_OURS);
  if (dup2(input, 0) != 0 || dup2(output, 1) != 1 || dup2(output, 2) != 2) _exit(EXIT_OURS);
  execvp(argv[0], (char *const *)argv);
  _exit(EXIT_NOT_FOUND);
}

static int memory_file(const char *text) {
  int fd = memfd_create("script", MFD_CLOEXEC);
  size_t length = strlen(text);
  if (fd >= 0 && (write(fd, text, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0)) {
    close(fd);
    return -1;
  }
  return fd;
}

static const char *package_of(const char *program) {
  if (strcmp(program, "ip") == 0) return "iproute2";
  return strcmp(program, "nft") == 0 ? "nftables" : "e2fsprogs";
}

static int tool_failed(const char *step, const char *const *argv, int code, int output, struct failure *failure) {
  char said[256] = "";
  ssize_t got = pread(output, said, sizeof said - 1, 0);
  said[got > 0 ? got : 0] = '\0';
  said[strcspn(said, "\n")] = '\0';
  errno = 0;
  if (code == EXIT_NOT_FOUND)
    return failed(failure, step, "`%s` is not installed: it is in the package %s", argv[0], package_of(argv[0]));
  return failed(failure, step, "`%s` failed with %d: %s", argv[0], code, said);
}

int tool_run(const char *step, const char *const *argv, int input, int netns, struct failure *failure) {
  int output = memory_file("");
  pid_t pid = output < 0 ? -1 : fork();
  if (pid == 0) exec_tool(argv, input, output, netns);
  int status = -1, result = -1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (pid < 0)
    failed(failure, step, "cannot start `%s`", argv[0]);
  else if (status == 0)
    result = 0;
  else
    tool_failed(step, argv, WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL + WTERMSIG(status), output, failure);
  if (output >= 0) close(output);
  return result;
}

static int tool(const char *const *argv, const char *script, int netns, struct failure *failure) {
  int input = memory_file(script);
  if (input < 0) return failed(failure, STEP, "no memory");
  int result = tool_run(STEP, argv, input, netns, failure);
  close(input);
  return result;
}

int run_ip(const char *script, int netns, struct failure *failure) {
  static const char *const ARGV[] = {"ip", "-batch", "-", NULL};
  return tool(ARGV, script, netns, failure);
}

int run_nft(const char *script, struct failure *failure) {
  static const char *const ARGV[] = {"nft", "-f", "-", NULL};
  return tool(ARGV, script, -1, failure);
}

int script_begin(struct script *script, struct failure *failure) {
  *script = (struct script){0};
  script->out = open_memstream(&script->text, &script->size);
  return script->out != NULL ? 0 : failed(failure, STEP, "no memory");
}

/* The text is the script's to free; NULL after a sentence. */
static const char *script_end(struct script *script, struct failure *failure) {
  bool whole = ferror(script->out) == 0;
  if (fclose(script->out) == 0 && whole) return script->text;
  failed(failure, STEP, "no memory");
  return NULL;
}

int script_ip(struct script *script, int netns, struct failure *failure) {
  const char *text = script_end(script, failure);
  int result = text == NULL ? -1 : run_ip(text, netns, failure);
  free(script->text);
  return result;
}

int script_nft(struct script *script, struct failure *failure) {
  const char *text = script_end(script, failure);
  int result = text == NULL ? -1 : run_nft(text, failure);
  free(script->text);
  return result;
}
