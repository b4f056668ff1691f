/* The least that the kernel asks for the namespaces of a run: one clone3, an exec, a wait. No file system, no uids, no
 * limits, no walls.
 *
 *   bare PROGRAM [WORD...] */
#include <linux/sched.h>

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  struct clone_args args = {
      .flags =
          CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP,
      .exit_signal = SIGCHLD,
  };
  int status = 0;
  if (argc < 2) return 2;
  pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) {
    execv(argv[1], argv + 1);
    _exit(127);
  }
  if (pid < 0 || waitpid(pid, &status, 0) != pid) {
    perror("bare: clone3");
    return 1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
