/* What the host's set-up gives a run: cgroups and their controllers, quotas, a network; and a run of nothing in all of
 * it. */
#include <linux/sched.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "disk.h"
#include "network.h"

static const char BOOT_UNIFIED[] = "Boot with `systemd.unified_cgroup_hierarchy=1 cgroup_no_v1=all`, or mount one: "
                                   "`mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified`.";
static const char DELEGATE[] =
    "Have one delegated: `systemd-run --user --scope -p Delegate=yes -- SHELL`, and in it make two directories below "
    "the scope's, move the shell into one and give the other as --cgroup.";

/* Always there after it, for the limits that follow; removed by the last that needs it, look_run. */
LOOK(cgroup) {
  (void)check;
  struct plan plan = {.cgroup = host->cgroup,
                      .memory_bytes = 1 << 30,
                      .pids = 1000,
                      .cpu_milli = 1000,
                      .cpu_weight = 100,
                      .io_read_bps = 1ull << 40,
                      .io_write_iops = 1 << 20};
  struct stat dir = {0};
  struct failure failure = {0};
  char sentence[640];
  if (stat(host->state, &dir) != 0) dir.st_dev = 0; /* which look_overlay tells */
  if (cgroup_create(&host->tried, &plan, dir.st_dev, &failure) != 0) {
    failure_sentence(&failure, sentence, sizeof sentence);
    found(finding, LACKS, "The cgroup directory that was given cannot be used: %.360s", sentence);
    host->tried.fd = -1;
  } else if (host->tried.fd >= 0) {
    found(finding, WORKS, "A run has a cgroup of its own, below %.300s",
          host->cgroup == NULL ? "the root" : host->cgroup);
  } else {
    snprintf(sentence, sizeof sentence, "There is no cgroup for a run: %.200s", host->tried.why_none);
    found_weak(host, finding, WEAK_NO_CGROUP, sentence);
    finding->how = host->is_root ? BOOT_UNIFIED : DELEGATE;
  }
}

LOOK(cgroup_kill) {
  (void)check;
  bool there = host->tried.fd >= 0 && faccessat(host->tried.fd, "cgroup.kill", W_OK, 0) == 0;
  found(finding, there || host->tried.fd < 0 ? WORKS : IS_WEAK,
        there                 ? "A cgroup is ended at once, whatever is in it"
        : host->tried.fd >= 0 ? "A cgroup has no cgroup.kill"
                              : "Without a cgroup a run is ended by its pid namespace");
}

static int try_cgroup_enter(const void *context, struct failure *failure) {
  const struct host *host = context;
  struct clone_args args = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = (uint64_t)host->tried.fd};
  pid_t pid = sys_clone3(&args);
  if (pid == 0) _exit(0);
  if (pid < 0) return failed(failure, "clone", "no process may be put into a cgroup there");
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  return 0;
}

LOOK(cgroup_enter) {
  (void)check;
  struct failure failure = {0};
  if (host->tried.fd >= 0) (void)attempt(try_cgroup_enter, host, &failure);
  found_by(finding, &failure, LACKS,
           host->tried.fd >= 0 ? "A process can be made in it" : "Without a cgroup there is none to enter");
}

/* Where a controller is, by /proc/cgroups: name, hierarchy (0: the unified one), how many, enabled. */
static const char *how_to_get(const char *controller) {
  char line[128], name[32];
  unsigned hierarchy = 0, count = 0, enabled = 0;
  bool there = false;
  FILE *file = fopen("/proc/cgroups", "re");
  /* on disk it is called otherwise there */
  const char *wanted = strcmp(controller, "io") == 0 ? "blkio" : controller;
  while (file != NULL && !there && fgets(line, sizeof line, file) != NULL)
    there = sscanf(line, "%31s %u %u %u", name, &hierarchy, &count, &enabled) == 4 && strcmp(name, wanted) == 0;
  if (file != NULL) fclose(file);
  if (!there) return "Use a kernel with CONFIG_MEMCG, CONFIG_CGROUP_PIDS, CONFIG_CGROUP_SCHED and CONFIG_BLK_CGROUP.";
  if (enabled == 0) return "Boot with `cgroup_enable=memory`, and without `cgroup_disable=`.";
  if (hierarchy != 0)
    return "A cgroup v1 hierarchy has it: boot with `cgroup_no_v1=all` (and `systemd.unified_cgroup_hierarchy=1`).";
  return "Pass it on from above: `Delegate=yes` in the unit, or write `+memory +pids +cpu +io` into "
         "cgroup.subtree_control of each directory above.";
}

static const char *controller_of(int limit) {
  if (limit == LIMIT_MEMORY) return "memory";
  if (limit == LIMIT_PIDS) return "pids";
  return limit == LIMIT_CPU || limit == LIMIT_CPU_WEIGHT ? "cpu" : "io";
}

/* Shares and disk traffic are for few, who are told by their run: no run ends for want of them that did not ask. */
LOOK(limit) {
  const char *said = host->tried.limit[check->which];
  if (said[0] != 'u') {
    found(finding, WORKS, "It can be limited");
    return;
  }
  char sentence[300];
  snprintf(sentence, sizeof sentence, "It is not limited: %s", strchr(said, ' ') + 1);
  if (check->which == LIMIT_MEMORY || check->which == LIMIT_PIDS || check->which == LIMIT_CPU)
    found_weak(host, finding, WEAK_LIMIT + (unsigned)check->which, sentence);
  else
    found(finding, IS_WEAK, "%s", sentence);
  finding->how = host->tried.fd < 0 ? NULL : how_to_get(controller_of(check->which));
}

enum { TRIED_BYTES = 16 << 20 };

/* Another check at the same time has its turn, and takes the directory away at its end; one that was killed leaves it. */
static int open_trial(int state, const char *name) {
  for (;;) {
    struct stat ours, there;
    if (mkdirat(state, name, 0700) != 0 && errno != EEXIST) return -1;
    int dir = openat(state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 && errno == ENOENT) continue;
    if (dir < 0) return -1;
    bool is_locked = flock(dir, LOCK_EX) == 0 && fstat(dir, &ours) == 0;
    if (is_locked && fstatat(state, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_ino == ours.st_ino) return dir;
    close(dir);
    if (!is_locked) return -1;
  }
}

static int try_own_disk(int state, struct failure *failure) {
  static const char name[] = ".toroid-check-disk";
  int dir = open_trial(state, name);
  if (dir < 0) return failed(failure, "disk", "no directory can be made in --state");
  (void)unlinkat(dir, DISK_IMAGE, 0); /* of one that was killed */
  int mount = loop_make(dir, TRIED_BYTES, 0, failure) == 0 ? loop_mount(dir, failure) : -1;
  if (mount >= 0) close(mount);
  (void)tree_remove(state, name);
  close(dir);
  return mount >= 0 ? 0 : -1;
}

/* What a limit of a run's disk stands on; without it, a file system of its own. */
LOOK(project_quota) {
  (void)check;
  char sentence[640];
  struct failure failure = {0};
  int state = open(host->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (state >= 0 && quota_is_enforced(state)) {
    found(finding, WORKS, "Project quota is enforced in %s", host->state);
  } else if (state >= 0 && try_own_disk(state, &failure) == 0) {
    found(finding, IS_WEAK, "No project quota is enforced in %s; a file system of its own for each run can be had",
          host->state);
  } else {
    failure_sentence(&failure, sentence, sizeof sentence);
    found(finding, IS_WEAK, "No project quota is enforced in %s, nor can a run have a file system of its own: %.300s",
          host->state, sentence);
  }
  if (state >= 0) close(state);
}

LOOK(network_pool) {
  (void)host, (void)check;
  struct failure wrong[NET_WRONGS] = {0};
  char sentence[640];
  size_t count = net_lacks(false, wrong);
  if (count == 0) {
    found(finding, WORKS, "A pool of networks can be made");
    return;
  }
  failure_sentence(&wrong[0], sentence, sizeof sentence);
  found(finding, IS_WEAK, "No pool of networks can be made: %.380s", sentence);
}

/* By the step that failed, what it most often means. */
static const char *hint_for(const char *sentence) {
  static const struct {
    const char *step, *hint;
  } HINTS[] = {
      {"rootless:", "Let this user make user namespaces, or start it as root."},
      {"clone:", "See `namespaces` and `cgroup-enter`."},
      {"image:", "See `owners`, `overlay` and `image-host`, or use --image DIR on a file system that maps owners."},
      {"scratch:", "Give a --state on a local file system that this user may write."},
      {"weak:", "Mend it, or allow it by name."},
  };
  for (size_t i = 0; i < sizeof HINTS / sizeof HINTS[0]; i++) {
    if (strncmp(sentence, HINTS[i].step, strlen(HINTS[i].step)) == 0) return HINTS[i].hint;
  }
  return "See the first of the above that lacks.";
}

struct words {
  const char *at[64];
  size_t count;
};

static void say(struct words *words, const char *first, const char *second) {
  words->at[words->count++] = first;
  if (second != NULL) words->at[words->count++] = second;
}

/* Root runs `true` of the host. A user has no image yet: an empty one, and ourselves bound into it. */
static void say_image(const struct host *host, const char *image, struct words *words, struct words *command) {
  static char self[4096], bind[4200];
  if (host->is_root) {
    say(words, "--image", "host");
    say(command, "true", NULL);
    return;
  }
  ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
  self[length > 0 ? length : 0] = '\0';
  snprintf(bind, sizeof bind, "%s:/helper:ro", self);
  say(words, "--image", image);
  say(words, "--bind", bind);
  if (getauxval(AT_BASE) != 0) { /* not static: with what it is linked to */
    static const char *const LIBRARIES[][2] = {
        {"/usr", "/usr:/usr:ro"}, {"/lib", "/lib:/lib:ro"}, {"/lib64", "/lib64:/lib64:ro"}};
    for (size_t i = 0; i < sizeof LIBRARIES / sizeof LIBRARIES[0]; i++) {
      if (access(LIBRARIES[i][0], F_OK) == 0) say(words, "--bind", LIBRARIES[i][1]);
    }
  }
  say(command, "/helper", "--version");
}

/* What a run says on stderr, its last line; and how it ended. */
static int start_run(const struct words *words, char *line, size_t room) {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return -1;
  (void)fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(null, 1);
    dup2(pipe_fds[1], 2);
    execv("/proc/self/exe", (char *const *)words->at);
    _exit(EXIT_OURS);
  }
  close(pipe_fds[1]);
  size_t used = 0;
  for (ssize_t got; used < room - 1 && (got = read(pipe_fds[0], line + used, room - 1 - used)) > 0;)
    used += (size_t)got;
  close(pipe_fds[0]);
  line[used] = '\0';
  line[strcspn(line, "\n")] = '\0';
  int status = -1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

/* With all that is known to lack allowed: that is said already. */
static int try_run(const struct host *host, const char *scratch, const char *image, char *line, size_t room) {
  struct words words = {.count = 0}, command = {.count = 0};
  struct weak_name names[WEAK_COUNT];
  say(&words, "toroid-sandbox", "run");
  say_image(host, image, &words, &command);
  say(&words, "--scratch", scratch);
  say(&words, "--wall-ms", "30000");
  if (host->cgroup != NULL) say(&words, "--cgroup", host->cgroup);
  for (unsigned one = WEAK_FIRST; one < WEAK_COUNT; one++) {
    if (((host->allow_weak | host->lacks) & WEAK_BIT(one)) == 0) continue;
    weak_name(one, &names[one]);
    say(&words, "--allow-weak", names[one].text);
  }
  say(&words, "--", NULL);
  for (size_t i = 0; i < command.count; i++) say(&words, command.at[i], NULL);
  words.at[words.count] = NULL;
  return start_run(&words, line, room);
}

LOOK(run) {
  (void)check;
  char scratch[4096], image[4096], line[700] = "";
  if (cgroup_remove(&host->tried) != 0) complain("a cgroup that was tried cannot be removed: %s", strerror(errno));
  snprintf(scratch, sizeof scratch, "%.4000s/toroid-check-XXXXXX", host->state);
  snprintf(image, sizeof image, "%.4000s/toroid-check-XXXXXX", host->state);
  if (mkdtemp(image) == NULL || mkdtemp(scratch) == NULL) {
    found(finding, LACKS, "No directory can be made in %s: %s", host->state, strerror(errno));
    (void)rmdir(image);
    return;
  }
  int status = try_run(host, scratch, image, line, sizeof line);
  (void)tree_remove(AT_FDCWD, scratch); /* it removes itself unless it failed early */
  (void)rmdir(image);
  if (status == 0) {
    found(finding, WORKS, "A run of nothing went through every wall");
    return;
  }
  const char *prefix = "toroid-sandbox: ", *sentence = line;
  if (strncmp(line, prefix, strlen(prefix)) == 0) sentence += strlen(prefix);
  if (sentence[0] == '\0') sentence = "it said nothing";
  found(finding, LACKS, "A run of nothing failed: %.400s", sentence);
  finding->how = hint_for(sentence);
}
