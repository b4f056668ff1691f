/* Every signal that would end the supervisor ends the run instead, in order: as a descriptor beside the others that it
 * waits for. */
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

#include "toroid-sandbox.h"

int watch_run_signals(struct run *run) {
  sigset_t set;
  sigemptyset(&set);
  for (const int *number = (const int[]){SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM,
                                         SIGPROF, SIGPOLL, SIGXCPU, SIGXFSZ, SIGPWR, 0};
       *number != 0; number++)
    sigaddset(&set, *number);
  if (run->plan.pty) sigaddset(&set, SIGWINCH);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_DFL);
  /* for nobody would give the caller's terminal back while we are stopped, and to give it back is allowed then */
  sigset_t blocked = set;
  for (const int *number = (const int[]){SIGTSTP, SIGTTIN, SIGTTOU, 0}; run->plan.pty && *number != 0; number++)
    sigaddset(&blocked, *number);
  if (sigprocmask(SIG_SETMASK, &blocked, NULL) != 0) return failed(&run->failure, "signals", "cannot block them");
  run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return run->signal_fd >= 0 ? 0 : failed(&run->failure, "signals", "cannot watch them");
}
