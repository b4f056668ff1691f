/* Started by a user that is not root: the supervisor enters a user namespace in which that user is uid 0, and a mount
 * namespace of it, and goes on as if it were root there. The sandbox's own namespaces are made inside, so the command
 * has no right over the supervisor's mounts, as when root starts it; but uid 0 of both is the caller outside.
 *
 * The caller's ranges of subordinate uids and gids become 1 and up. Without them there is uid 0 alone. */
#include <linux/sched.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "rootless"

/* What a user may give away, by /etc/subuid or /etc/subgid. */
struct range {
  uint64_t first, count;
};

/* Who we are outside, and what is mapped beside that. */
struct caller {
  uint64_t uid, gid;
  struct range uids, gids;
};

/* The user's name as /etc/passwd has it; a static program cannot ask anywhere else. */
static void find_name(uint64_t uid, char *name, size_t room) {
  char line[1024], one[64];
  unsigned long long number;
  FILE *file = fopen("/etc/passwd", "re");
  name[0] = '\0';
  while (file != NULL && name[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "%63[^:]:%*[^:]:%llu:", one, &number) == 2 && number == uid) snprintf(name, room, "%s", one);
  }
  if (file != NULL) fclose(file);
}

/* The widest of the user's lines, NAME:FIRST:COUNT or UID:FIRST:COUNT. */
static struct range find_range(const char *path, uint64_t uid, const char *name) {
  struct range widest = {0, 0};
  char line[1024], who[64], digits[24];
  unsigned long long first, count;
  FILE *file = fopen(path, "re");
  snprintf(digits, sizeof digits, "%llu", (unsigned long long)uid);
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (sscanf(line, "%63[^:]:%llu:%llu", who, &first, &count) != 3) continue;
    if (strcmp(who, digits) != 0 && (name[0] == '\0' || strcmp(who, name) != 0)) continue;
    if (count > widest.count) widest = (struct range){first, count};
  }
  if (file != NULL) fclose(file);
  return widest;
}

static struct caller find_caller(struct plan *plan) {
  struct caller caller = {.uid = geteuid(), .gid = getegid()};
  char name[64];
  find_name(caller.uid, name, sizeof name);
  caller.uids = find_range("/etc/subuid", caller.uid, name);
  caller.gids = find_range("/etc/subgid", caller.uid, name);
  uint64_t both = caller.uids.count < caller.gids.count ? caller.uids.count : caller.gids.count;
  if (both >= UID_COUNT) both = UID_COUNT - 1;
  caller.uids.count = caller.gids.count = both;
  plan->caller = caller.uid;
  plan->uid_count = both + 1;
  if (both == 0)
    snprintf(plan->why_single, sizeof plan->why_single, "%s%s%llu has no range in /etc/subuid and /etc/subgid", name,
             name[0] == '\0' ? "uid " : ", uid ", (unsigned long long)caller.uid);
  return caller;
}

/* newuidmap and newgidmap have the privilege that it takes. The first line that one says is its reason. */
static int start_mapper(const char *program, pid_t pid, uint64_t self, const struct range *range, struct plan *plan) {
  char numbers[6][24], said[120] = "";
  const uint64_t values[] = {(uint64_t)pid, 0, self, 1, 1, range->first};
  for (size_t i = 0; i < 6; i++) snprintf(numbers[i], sizeof numbers[i], "%llu", (unsigned long long)values[i]);
  char count[24];
  snprintf(count, sizeof count, "%llu", (unsigned long long)range->count);
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return -1;
  pid_t mapper = fork();
  if (mapper == 0) {
    dup2(pipe_fds[1], 2);
    execlp(program, program, numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], count, NULL);
    dprintf(2, "%s", errno == ENOENT ? "it is not installed (package uidmap)" : strerror(errno));
    _exit(EXIT_OURS);
  }
  close(pipe_fds[1]);
  ssize_t got = read(pipe_fds[0], said, sizeof said - 1);
  int status = -1;
  while (mapper > 0 && waitpid(mapper, &status, 0) < 0 && errno == EINTR) continue;
  close(pipe_fds[0]);
  if (status == 0) return 0;
  said[got > 0 ? got : 0] = '\0';
  said[strcspn(said, "\n")] = '\0';
  snprintf(plan->why_single, sizeof plan->why_single, "%s failed: %s", program, said);
  return -1;
}

static int map_ranges(pid_t pid, const struct caller *caller, struct plan *plan) {
  if (start_mapper("newuidmap", pid, caller->uid, &caller->uids, plan) != 0) return -1;
  return start_mapper("newgidmap", pid, caller->gid, &caller->gids, plan);
}

/* What the kernel lets everybody do, once groups cannot be dropped any more: a group may be there to keep out. */
static int map_self(pid_t pid, const struct caller *caller) {
  char path[32], map[48];
  snprintf(path, sizeof path, "/proc/%d", pid);
  int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return -1;
  snprintf(map, sizeof map, "0 %llu 1\n", (unsigned long long)caller->uid);
  bool mapped = write_text(proc, "setgroups", "deny") && write_text(proc, "uid_map", map);
  snprintf(map, sizeof map, "0 %llu 1\n", (unsigned long long)caller->gid);
  mapped = mapped && write_text(proc, "gid_map", map);
  int error = errno;
  close(proc);
  errno = error;
  return mapped ? 0 : -1;
}

/* In a child, so that maps that were refused are lost with it and not with us. */
static int make_userns(const struct caller *caller, struct plan *plan, struct failure *failure) {
  struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  pid_t pid = sys_clone3(&args);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  if (pid < 0) return failed(failure, STEP, "this user may not make user namespaces");
  char path[32];
  snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
  int mapped = plan->uid_count > 1 ? map_ranges(pid, caller, plan) : map_self(pid, caller);
  int userns = mapped == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1, error = errno;
  (void)kill(pid, SIGKILL);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  errno = error;
  return userns;
}

static int refuse_what_is_roots(const struct plan *plan, struct failure *failure) {
  const char *what = NULL;
  if (plan->image_is_host)
    what = "--image host needs root: the kernel lays no file system over one with mounts of root's below; unpack an "
           "image that is this user's";
  if (plan->network == NETWORK_FULL) what = "--network full needs root: the pool of networks is its";
  if (plan->uid_base != 0 || plan->bind_owner != 0)
    what = "--uid-base and --bind-owner need root: uid 0 inside is the caller";
  errno = 0;
  if (what != NULL) return failed(failure, STEP, "%s", what);
  if (plan->user < plan->uid_count && plan->group < plan->uid_count) return 0;
  return failed(failure, STEP, "--user %llu:%llu is not among the %llu uids and gids inside%s%s",
                (unsigned long long)plan->user, (unsigned long long)plan->group, (unsigned long long)plan->uid_count,
                plan->uid_count == 1 ? ": " : "", plan->why_single);
}

int rootless_enter(struct plan *plan, struct failure *failure) {
  const struct rlimit no_core = {0, 0};
  plan->rootless = true;
  plan->bind_userns = -1; /* owners are what they are: only root may show a file system with others */
  /* /proc/PID of what is not dumpable is root's, and the maps are written there */
  if (setrlimit(RLIMIT_CORE, &no_core) != 0 || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) != 0)
    return failed(failure, STEP, "cannot do without cores");
  const struct caller caller = find_caller(plan);
  int userns = plan->uid_count > 1 ? make_userns(&caller, plan, failure) : -1;
  if (userns < 0 && failure->step[0] != '\0') return -1;
  if (userns < 0) {
    plan->uid_count = 1;
    userns = make_userns(&caller, plan, failure);
  }
  if (userns < 0) return failed(failure, STEP, "cannot map uid %llu to uid 0", (unsigned long long)caller.uid);
  if (refuse_what_is_roots(plan, failure) != 0) return -1;
  if (setns(userns, CLONE_NEWUSER) != 0 || unshare(CLONE_NEWNS) != 0 || sys_make_private("/") != 0)
    return failed(failure, STEP, "cannot enter a user and a mount namespace");
  close(userns);
  return 0;
}
