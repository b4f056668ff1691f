/* Tries something in a process of its own, so that namespaces, filters and mounts go with it and nothing of the host is
 * touched. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

int attempt(int (*what)(const void *context, struct failure *failure), const void *context, struct failure *failure) {
  struct failure *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return failed(failure, "attempt", "no memory");
  (void)fflush(stdout); /* or it would be written twice */
  pid_t pid = fork();
  if (pid == 0) _exit(what(context, shared) == 0 ? 0 : 1);
  int status = -1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (status != 0 && shared->step[0] != '\0') *failure = *shared;
  (void)munmap(shared, sizeof *shared);
  errno = 0;
  return status == 0 ? 0 : failed(failure, "attempt", "it ended early");
}
