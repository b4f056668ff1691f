/* Pid 1 of the sandbox: starts the command, reaps what is left to it, passes the end on. It decides nothing:
 * time and limits are the supervisor's, out of reach of whatever runs in here. Only a supervisor that is long past its
 * time, because somebody has stopped it, is not waited for. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toroid-sandbox.h"

static int code_of_exec_error(int error) {
  return error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* Like execvpe, without its second try through a shell: a file without a format is not executable. */
static int exec_in_path(const struct plan *plan) {
  char *const *argv = plan->argv.at, *const *env = plan->env.at;
  const char *path = "";
  if (strchr(argv[0], '/') != NULL) {
    execve(argv[0], argv, env);
    return errno;
  }
  for (size_t i = 0; i < plan->env.count; i++) {
    if (strncmp(env[i], "PATH=", 5) == 0) path = env[i] + 5;
  }
  int error = ENOENT;
  char file[4096];
  for (;;) {
    size_t length = strcspn(path, ":");
    if (length > 0 && (size_t)snprintf(file, sizeof file, "%.*s/%s", (int)length, path, argv[0]) < sizeof file) {
      execve(file, argv, env);
      if (errno != ENOENT && errno != ENOTDIR) error = errno;
    }
    path += length;
    if (*path == '\0') return error;
    path++;
  }
}

/* Nothing to read, or its terminal, which is already there and becomes the one that controls its session. */
static bool give_input(const struct plan *plan) {
  if (setsid() < 0) return false;
  if (plan->pty) return ioctl(0, TIOCSCTTY, 0) == 0;
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  return null >= 0 && dup2(null, 0) == 0;
}

/* Between fork and exec, in memory shared with pid 1 (vfork): it may set what it gets, and nothing else. */
static void become_command(struct inside *inside, volatile struct failure *out, volatile int *code) {
  const struct plan *plan = inside->plan;
  struct failure failure = {0};
  sigset_t none;
  sigemptyset(&none);
  (void)signal(SIGPIPE, SIG_DFL); /* the others are, see main.c */
  sigprocmask(SIG_SETMASK, &none, NULL);
  umask(022);
  *code = EXIT_OURS;
  if (!give_input(plan))
    failed(&failure, "start", "cannot give the command its input");
  else if (plan->user != 0 || plan->group != 0) {
    const gid_t group = (gid_t)plan->group;
    if (setgroups(1, &group) != 0 || setresgid(group, group, group) != 0 ||
        setresuid((uid_t)plan->user, (uid_t)plan->user, (uid_t)plan->user) != 0)
      failed(&failure, "start", "cannot become %llu:%llu", (unsigned long long)plan->user,
             (unsigned long long)plan->group);
  }
  if (failure.step[0] == '\0' && chdir(plan->cwd) != 0) failed(&failure, "start", "cannot enter --cwd %s", plan->cwd);
  if (failure.step[0] == '\0') {
    errno = exec_in_path(plan);
    *code = code_of_exec_error(errno);
    failed(&failure, "exec", "cannot execute %s", plan->argv.at[0]);
  }
  memcpy((void *)out, &failure, sizeof failure);
  _exit(EXIT_OURS);
}

static pid_t start_command(struct inside *inside) {
  volatile struct failure failure = {0};
  volatile int code = 0;
  pid_t pid = vfork();
  if (pid == 0) become_command(inside, &failure, &code);
  if (pid > 0 && failure.step[0] == '\0') return pid;
  if (pid < 0)
    failed(&inside->failure, "start", "cannot make a process");
  else
    memcpy(&inside->failure, (const void *)&failure, sizeof failure);
  struct message message = {
      .kind = MESSAGE_FAILED, .status = pid < 0 ? EXIT_OURS : code, .failure = inside->failure, .steps = inside->steps};
  (void)message_send(inside->supervisor, &message, NULL, 0);
  _exit(EXIT_OURS);
}

/* Takes in all that has ended; true when the command is among it. */
static bool reap(pid_t command, int *status) {
  bool ended = false;
  for (;;) {
    int one;
    pid_t pid = waitpid(-1, &one, WNOHANG);
    if (pid <= 0) return ended;
    if (pid != command) continue;
    ended = true;
    *status = one;
  }
}

static void tell_all_to_end(void) {
  kill(-1, SIGTERM);
  kill(-1, SIGCONT); /* a stopped process cannot obey */
}

enum { LATE_MS = 5000 };

/* When the supervisor has missed every moment at which it would have ended us. */
static uint64_t too_late(const struct plan *plan) {
  return plan->wall_ms == 0 ? UINT64_MAX : now_us() + (plan->wall_ms + plan->grace_ms + LATE_MS) * 1000;
}

static int poll_until(uint64_t moment) {
  uint64_t now = now_us(), ms = moment > now ? (moment - now) / 1000 + 1 : 0;
  return moment == UINT64_MAX ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms;
}

void init_main(struct inside *inside) {
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_SETMASK, &children, NULL);
  int ended = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
  uint64_t mark = now_us();
  /* before the command can have said anything: who hears it and asks for its end is to get an end in order */
  const struct message starting = {.kind = MESSAGE_STARTING};
  if (message_send(inside->supervisor, &starting, NULL, 0) != 0) _exit(EXIT_OURS);
  pid_t command = start_command(inside);
  step_done(&inside->steps, "exec", &mark);
  keep_only_kill();
  struct message started = {.kind = MESSAGE_STARTED, .pid = command, .weak = inside->weak, .steps = inside->steps};
  if (message_send(inside->supervisor, &started, NULL, 0) != 0) _exit(EXIT_OURS);
  for (int fd = 0; fd < 3; fd++) close(fd); /* the caller sees the end of the output when the build is gone */
  struct pollfd wait[] = {{.fd = inside->supervisor, .events = POLLIN}, {.fd = ended, .events = POLLIN}};
  bool running = true;
  const uint64_t late = too_late(inside->plan);
  for (;;) {
    if (poll(wait, 2, poll_until(late)) < 0 && errno != EINTR) _exit(EXIT_OURS);
    if (now_us() >= late) _exit(EXIT_OURS); /* and all others with us */
    if (wait[0].revents != 0) {
      struct message message;
      size_t count = 0;
      if (message_receive(inside->supervisor, &message, NULL, &count) != 1) _exit(EXIT_OURS);
      if (message.kind == MESSAGE_TERM) tell_all_to_end();
    }
    if (wait[1].revents != 0) {
      struct signalfd_siginfo info;
      while (read(ended, &info, sizeof info) == sizeof info) continue;
      struct message message = {.kind = MESSAGE_EXITED};
      if (!reap(command, &message.status) || !running) continue;
      running = false;
      if (message_send(inside->supervisor, &message, NULL, 0) != 0) _exit(EXIT_OURS);
    }
  }
}
