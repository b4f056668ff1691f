/* The outer process: starts pid 1, waits, ends everything, says how it was. Owns the clock. */
#include <linux/sched.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk.h"

#define NEVER UINT64_MAX

/* A parent that is gone leaves nobody to read the verdict or to clean up: then all ends at once. Watched by
 * descriptor, for a death signal would also come when only the thread that started us ends. */
static void watch_parent(struct run *run) {
  pid_t parent = getppid();
  run->parent_fd = parent > 0 ? sys_pidfd_open(parent) : -1;
  bool other = getppid() != parent || (run->plan.parent_pid != 0 && run->plan.parent_pid != (uint64_t)parent);
  /* it may have died before we could look: then somebody else is our parent, and the status has no reader */
  struct pollfd status = {.fd = run->status_fd, .events = 0};
  bool unread = parent == 1 && run->status_fd >= 0 && poll(&status, 1, 0) == 1 && (status.revents & POLLERR) != 0;
  if (other || unread) run->orphan = true;
}

/* After our sockets are made: they belong to the namespace of that moment, and a slot is to have the build's alone. */
static int enter_network(struct run *run) {
  const struct plan *plan = &run->plan;
  if (plan->network == NETWORK_FULL) return slot_enter(&run->slot, plan, &run->failure);
  bool kept = plan->network == NETWORK_NONE && plan->alone_netns > 0;
  return kept ? slot_enter_alone(&run->slot, plan->alone_netns, &run->failure) : 0;
}

static int no_init(struct run *run) {
  const char *cgroup = run->cgroup.path;
  if (run->cgroup.fd >= 0 && errno == EAGAIN)
    return failed(&run->failure, "clone", "%.280s, or one above it, lets no more processes in (pids.max)", cgroup);
  if (run->cgroup.fd >= 0 && (errno == EBUSY || errno == EOPNOTSUPP))
    return failed(&run->failure, "clone", "the kernel puts no process into %.280s", cgroup);
  if (run->cgroup.fd >= 0 && errno == EACCES)
    return failed(&run->failure, "clone",
                  "no process may be put into %.280s by one that is outside of what was delegated", cgroup);
  return failed(&run->failure, "clone", "the kernel makes no process in new namespaces");
}

static int start_init(struct run *run, uint64_t *mark) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
    return failed(&run->failure, "clone", "no socket pair");
  bool relayed = !run->plan.pty && (run->plan.output_bytes != 0 || run->plan.silence_ms != 0);
  int ends[2] = {-1, -1};
  if (relayed && relay_open(&run->relay, &run->plan, run->uid_base, ends, &run->failure) != 0) return -1;
  if (enter_network(run) != 0) return -1;
  step_done(&run->steps, "network", mark);
  if (fchdir(run->scratch.fd) != 0) return failed(&run->failure, "clone", "cannot enter the scratch directory");
  bool placed = run->cgroup.fd >= 0;
  struct clone_args args = {
      .flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD |
               (placed ? CLONE_INTO_CGROUP : 0),
      .pidfd = (uint64_t)(uintptr_t)&run->init_fd,
      .exit_signal = SIGCHLD,
      .cgroup = placed ? (uint64_t)run->cgroup.fd : 0,
  };
  run->init = sys_clone3(&args);
  if (run->init == 0) {
    close(pair[0]);
    for (int i = 0; relayed && i < 2; i++) {
      if (dup2(ends[i], STDOUT_FILENO + i) < 0) _exit(EXIT_OURS);
    }
    struct inside inside = {.plan = &run->plan, .cgroup = &run->cgroup, .supervisor = pair[1]};
    inside_main(&inside);
  }
  if (run->init < 0) return no_init(run);
  close(pair[1]);
  for (int i = 0; i < 2; i++) {
    if (ends[i] >= 0 && (i == 0 || ends[1] != ends[0])) close(ends[i]);
  }
  run->socket = pair[0];
  return 0;
}

/* It cannot be told anything more; perhaps it told why. */
int lost_init(struct run *run, const char *step) {
  struct message last;
  for (size_t count = 0; message_receive(run->socket, &last, NULL, &count) == 1; count = 0) {
    if (last.kind != MESSAGE_FAILED) continue;
    run->failure = last.failure;
    run->lacks = last.weak;
    return -1;
  }
  errno = 0;
  return failed(&run->failure, step, "pid 1 of the sandbox ended without a word");
}

/* In two parts, for the kernel maps no range that is in two parts for us. */
static int write_maps(struct run *run, int proc) {
  char map[96];
  unsigned long long base = run->uid_base, more = run->plan.uid_count - 1;
  int used = snprintf(map, sizeof map, "0 %llu 1\n", base);
  if (more > 0) snprintf(map + used, sizeof map - (size_t)used, "1 %llu %llu\n", base + 1, more);
  /* when the host itself runs out of memory, builds go first; a build cannot lower it again */
  (void)!write_text(proc, "oom_score_adj", "500");
  bool written = write_text(proc, "uid_map", map) && write_text(proc, "gid_map", map);
  if (!written) return failed(&run->failure, "maps", "cannot map %llu uids from %llu", more + 1, base);
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* as from the start, unless the caller is not root */
  return 0;
}

/* Builds what pid 1 only attaches. The user namespace must exist first, for the owners are mapped by it. */
static int make_mounts(struct run *run, uint64_t *mark) {
  char path[32];
  snprintf(path, sizeof path, "/proc/%d", run->init);
  int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return failed(&run->failure, "maps", "cannot open %s", path);
  if (write_maps(run, proc) != 0) return -1;
  int userns = run->plan.rootless ? -1 : openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
  if (!run->plan.keep_scratch) run->mounts_fd = openat(proc, "ns/mnt", O_RDONLY | O_CLOEXEC);
  close(proc);
  if (userns < 0 && !run->plan.rootless) return failed(&run->failure, "maps", "cannot open the user namespace");
  struct message message = {.kind = MESSAGE_MAPS};
  if (message_send(run->socket, &message, NULL, 0) != 0) return lost_init(run, "maps");
  step_done(&run->steps, "maps", mark);

  if (scratch_prepare(&run->scratch, run->uid_base, &run->failure) != 0) return -1;
  step_done(&run->steps, "upper", mark);
  int fds[MAX_OPS + 2];
  size_t count = 2;
  if (run->plan.bind_userns == 0) {
    uint64_t owner = run->plan.bind_owner;
    run->plan.bind_userns = owner == 0 ? userns : userns_for_owner(run->uid_base, owner, owner, &run->failure);
    if (run->plan.bind_userns < 0) return -1;
  }
  for (size_t i = 0; i < run->plan.op_count; i++) {
    if (run->plan.ops[i].kind != OP_BIND) continue;
    fds[count] = bind_open(&run->plan.ops[i], run->plan.bind_userns, &run->scratch, &run->failure);
    if (fds[count++] < 0) return -1;
  }
  step_done(&run->steps, "binds", mark);
  fds[1] = dev_make(run->uid_base, !run->plan.rootless, &run->failure);
  if (fds[1] < 0) return -1;
  step_done(&run->steps, "devices", mark);
  fds[0] = image_mount(&run->plan, &run->scratch, userns, run->uid_base, &run->steps, &run->failure);
  if (fds[0] < 0) return -1;

  message.kind = MESSAGE_ROOT;
  if (message_send(run->socket, &message, fds, count) != 0) return lost_init(run, "root");
  for (size_t i = 0; i < count; i++) close(fds[i]);
  if (userns >= 0) close(userns);
  return 0;
}

/* With --network host the host's own, often a link, which is followed. With an allow list there is none, and the names
 * on it are in /etc/hosts. */
static int read_resolver(struct plan *plan, struct failure *failure) {
  if (plan->allow_count > 0) {
    plan->hosts = allow_hosts(plan);
    snprintf(plan->resolver, sizeof plan->resolver, "# no resolver is reached; the hosts that are: /etc/hosts\n");
    return plan->hosts != NULL ? 0 : failed(failure, "network", "no memory");
  }
  const char *path = plan->network == NETWORK_HOST ? "/etc/resolv.conf" : plan->resolver_file;
  if (path == NULL) return 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 && plan->network == NETWORK_FULL) return failed(failure, "network", "cannot open %s", path);
  ssize_t used = fd < 0 ? 0 : read(fd, plan->resolver, sizeof plan->resolver - 1);
  plan->resolver[used > 0 ? used : 0] = '\0';
  if (fd >= 0) close(fd);
  return 0;
}

static int prepare(struct run *run) {
  uint64_t mark = run->began;
  run->status_fd = run->client >= 0 ? run->client : run->plan.status_fd == NO_FD ? -1 : (int)run->plan.status_fd;
  struct stat status;
  if (run->status_fd >= 0 && (fstat(run->status_fd, &status) != 0 || fcntl(run->status_fd, F_SETFD, FD_CLOEXEC) != 0)) {
    int fd = run->status_fd;
    run->status_fd = -1;
    return failed(&run->failure, "status", "--json-status-fd %d is not open", fd);
  }
  if (geteuid() != 0) {
    if (rootless_enter(&run->plan, &run->failure) != 0) return -1;
    step_done(&run->steps, "rootless", &mark);
  }
  if (run->plan.network != NETWORK_NONE && read_resolver(&run->plan, &run->failure) != 0) return -1;
  if (run->client < 0) watch_parent(run); /* else the client is who waits */
  if (watch_run_signals(run) != 0) return -1;
  if (scratch_open(&run->scratch, &run->plan, &run->failure) != 0) return -1;
  run->has_scratch = true;
  if (!run->plan.rootless) run->uids_fd = uids_lock(&run->uid_base, run->plan.uid_base, &run->failure);
  if (run->failure.step[0] != '\0') return -1;
  step_done(&run->steps, "scratch", &mark);
  if (disk_choose(&run->scratch, &run->plan, run->uid_base, &run->disk_limits, &run->failure) != 0) return -1;
  step_done(&run->steps, "disk", &mark);
  if (cgroup_create(&run->cgroup, &run->plan, run->scratch.device, &run->failure) != 0) return -1;
  memcpy(run->cgroup.limit[LIMIT_DISK_BYTES], run->disk_limits.bytes, sizeof run->disk_limits.bytes);
  memcpy(run->cgroup.limit[LIMIT_DISK_INODES], run->disk_limits.inodes, sizeof run->disk_limits.inodes);
  run->lacks = weak_without_leave(weak_of(&run->plan, &run->cgroup), &run->plan);
  if (run->lacks != 0) return weak_refuse(run->lacks, &run->plan, &run->cgroup, &run->failure);
  if (run->plan.cgroup_inside && cgroup_give(&run->cgroup, &run->plan, run->uid_base, &run->failure) != 0) return -1;
  step_done(&run->steps, "cgroup", &mark);
  tell_created(run);
  if (start_init(run, &mark) != 0) return -1;
  step_done(&run->steps, "clone", &mark);
  return make_mounts(run, &mark);
}

/* The first reason is the one that is told. With no grace, or before the command runs, all ends at once. */
static void begin_end(struct run *run, enum reason reason, bool at_once) {
  if (run->reason == REASON_NONE) run->reason = reason;
  uint64_t now = now_us();
  if (at_once || !run->may_run) run->kill_at = now;
  if (run->kill_at != NEVER) return;
  struct message term = {.kind = MESSAGE_TERM};
  (void)message_send(run->socket, &term, NULL, 0);
  run->kill_at = now + run->plan.grace_ms * 1000;
}

/* A client of `serve` says that it lives, or how its run is to end; when it is gone, nobody waits for it any more. */
static void hear_client(struct run *run, bool *is_there) {
  char words[16];
  ssize_t got = recv(run->client, words, sizeof words, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got > 0) run->renewed_at = now_us();
  for (ssize_t i = 0; i < got; i++) {
    if (words[i] == 'T' || words[i] == 'K') begin_end(run, REASON_CANCELLED, words[i] == 'K');
  }
  if (got > 0) return;
  *is_there = false;
  run->orphan = true;
  begin_end(run, REASON_CANCELLED, true);
}

/* The other end of the command's terminal. */
static void take_terminal(struct run *run, int master) {
  if (terminal_take(&run->terminal, master) == 0 && relay_terminal(&run->relay, &run->plan, master, &run->failure) == 0)
    return;
  errno = 0;
  failed(&run->failure, "terminal", "pid 1 sent none that can be used");
  run->over = true;
}

static void hear_init(struct run *run) {
  struct message message;
  int fd = -1;
  size_t count = run->plan.pty ? 1 : 0;
  if (message_receive(run->socket, &message, &fd, &count) != 1) {
    run->over = true; /* pid 1 is dead: the wait status tells more */
    if (run->plan.wall_ms != 0 && now_us() >= run->began + run->plan.wall_ms * 1000)
      begin_end(run, REASON_TIMEOUT, true);
    return;
  }
  switch (message.kind) {
  case MESSAGE_STARTING: run->may_run = true; return;
  case MESSAGE_TERMINAL: take_terminal(run, count == 1 ? fd : -1); return;
  case MESSAGE_STARTED:
    run->started = true;
    run->started_at = run->relay.heard_at = now_us();
    tell_started(run, &message);
    return;
  case MESSAGE_EXITED:
    run->has_status = true;
    run->status = message.status;
    run->over = true;
    return;
  case MESSAGE_FAILED:
    run->failure = message.failure;
    run->failure_code = message.status;
    run->lacks = message.weak;
    run->over = true;
    return;
  case MESSAGE_MAPS:
  case MESSAGE_ROOT:
  case MESSAGE_TERM: return;
  }
}

/* The caller's terminal is gone: so is the one inside, for those who are told so by that. */
static void hang_up(struct run *run) {
  if (!run->plan.pty) return;
  relay_hang_up(&run->relay);
  terminal_give_back(&run->terminal);
}

/* A person who types the interrupt twice does not want to wait. A supervisor of ours may well repeat TERM. */
static void hear_signals(struct run *run) {
  struct signalfd_siginfo info;
  while (read(run->signal_fd, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGWINCH) {
      terminal_resize(&run->terminal);
      continue;
    }
    if (info.ssi_signo == SIGHUP) hang_up(run);
    bool again = info.ssi_signo == SIGINT && run->interrupted;
    run->interrupted |= info.ssi_signo == SIGINT;
    begin_end(run, REASON_CANCELLED, again);
  }
}

static int poll_timeout(uint64_t until) {
  uint64_t now = now_us();
  if (until == NEVER) return -1;
  if (until <= now) return 0;
  uint64_t ms = (until - now + 999) / 1000;
  return ms > 86400000 ? 86400000 : (int)ms;
}

static uint64_t earlier(uint64_t one, uint64_t other) {
  return one < other ? one : other;
}

/* Not while the caller keeps it from printing. */
static uint64_t silence_ends(const struct run *run) {
  bool counts =
      run->plan.silence_ms != 0 && run->started && run->reason == REASON_NONE && !relay_is_held_up(&run->relay);
  return counts ? run->relay.heard_at + run->plan.silence_ms * 1000 : NEVER;
}

/* A client that is stopped can neither end its run nor hang up. */
static uint64_t lease_ends(const struct run *run) {
  bool counts = run->plan.lease_ms != 0 && run->client >= 0 && run->reason != REASON_LEASE;
  return counts ? run->renewed_at + run->plan.lease_ms * 1000 : NEVER;
}

static void watch(struct run *run) {
  uint64_t wall = run->plan.wall_ms == 0 ? NEVER : run->began + run->plan.wall_ms * 1000;
  if (run->orphan) begin_end(run, REASON_CANCELLED, true);
  bool client_is_there = run->client >= 0;
  enum { OTHERS = 4 };
  while (!run->over) {
    uint64_t now = now_us(), silence = silence_ends(run);
    if (now >= run->kill_at) return;
    if (now >= wall) {
      begin_end(run, REASON_TIMEOUT, false);
      wall = NEVER;
      continue;
    }
    struct pollfd on[OTHERS + MAX_STREAMS] = {{.fd = run->socket, .events = POLLIN},
                                              {.fd = run->signal_fd, .events = POLLIN},
                                              {.fd = run->parent_fd, .events = POLLIN},
                                              {.fd = client_is_there ? run->client : -1, .events = POLLIN}};
    relay_watch(&run->relay, on + OTHERS);
    uint64_t next = earlier(earlier(run->kill_at, wall), earlier(silence, lease_ends(run)));
    if (poll(on, OTHERS + MAX_STREAMS, poll_timeout(next)) < 0) continue;
    relay_pass(&run->relay, on + OTHERS);
    if (on[0].revents != 0) hear_init(run);
    if (on[1].revents != 0) hear_signals(run);
    if (on[3].revents != 0) hear_client(run, &client_is_there);
    if (on[2].revents != 0) {
      run->orphan = true;
      run->parent_fd = -1;
      begin_end(run, REASON_CANCELLED, true);
    }
    /* what was there to hear has been heard by now */
    if (run->relay.is_over && run->reason == REASON_NONE && !run->over) begin_end(run, REASON_OUTPUT, false);
    if (now_us() >= silence_ends(run) && !run->over) begin_end(run, REASON_SILENCE, false);
    if (now_us() >= lease_ends(run) && !run->over) begin_end(run, REASON_LEASE, true);
  }
}

/* A caller without stdout would have us open something else in its place, and the build would get that. */
static int fill_standard_descriptors(void) {
  int fd;
  do fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd < 3);
  if (fd >= 0) close(fd);
  return fd >= 0 ? 0 : -1;
}

int run_command(const struct plan *plan, int client) {
  static struct run run;
  uint64_t now = now_us();
  run = (struct run){.plan = *plan,
                     .began = now,
                     .renewed_at = now,
                     .init_fd = -1,
                     .mounts_fd = -1,
                     .socket = -1,
                     .signal_fd = -1,
                     .parent_fd = -1,
                     .status_fd = -1,
                     .uids_fd = -1,
                     .client = client,
                     .kill_at = NEVER,
                     .terminal = {.master = -1},
                     .cgroup = {.fd = -1, .base_fd = -1},
                     .slot = {.netns = -1, .netfilter = -1}};
  umask(0); /* modes below are meant */
  if (fill_standard_descriptors() != 0) return EXIT_OURS;
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no core with the caller's secrets in it */
  if (prepare(&run) == 0) watch(&run);
  end_everything(&run);
  return exit_code(&run);
}
