/* A cgroup v2 directory of our own: where the processes are put when they are made, limited, counted and
 * ended. Locked while we live, so that gc never takes a living one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "cgroup"
#define CGROUP2_MAGIC 0x63677270
enum { TRIES = 5, EMPTY_WAIT_MS = 10000 };

static const char *default_mount(void) {
  static const char *const MOUNTS[] = {MOUNTPOINT_OF_CGROUP2, MOUNTPOINT_OF_CGROUP2 "/unified"};
  for (size_t i = 0; i < sizeof MOUNTS / sizeof MOUNTS[0]; i++) {
    struct statfs fs;
    if (statfs(MOUNTS[i], &fs) == 0 && fs.f_type == CGROUP2_MAGIC) return MOUNTS[i];
  }
  return NULL;
}

/* The directory to make ours in. A given one must be there; the default one is made below the mount. */
static int open_base(const char *given, char *path, size_t room, struct failure *failure) {
  if (given != NULL) {
    snprintf(path, room, "%s", given);
    int fd = open(given, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct statfs fs;
    if (fd < 0) return failed(failure, STEP, "cannot open --cgroup %s", given);
    if (fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_MAGIC) return fd;
    close(fd);
    errno = 0;
    return failed(failure, STEP, "--cgroup %s is not in a cgroup v2 hierarchy", given);
  }
  const char *mount = default_mount();
  if (mount == NULL) {
    errno = ENOENT;
    return -1;
  }
  snprintf(path, room, "%s/toroid", mount);
  if (mkdir(path, 0755) != 0 && errno != EEXIST) return -1;
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static bool has_word(const char *text, const char *word) {
  size_t length = strlen(word);
  for (const char *at = text; (at = strstr(at, word)) != NULL; at += length) {
    bool starts = at == text || at[-1] == ' ', ends = strchr(" \n", at[length]) != NULL;
    if (starts && ends) return true;
  }
  return false;
}

/* Passes a controller on to the directories below the base: ours to do, for the base was given to us. */
static void enable(int base, const char *controller) {
  char text[512], word[32];
  if (read_text(base, "cgroup.controllers", text, sizeof text) < 0 || !has_word(text, controller)) return;
  if (read_text(base, "cgroup.subtree_control", text, sizeof text) >= 0 && has_word(text, controller)) return;
  snprintf(word, sizeof word, "+%s", controller);
  (void)!write_text(base, "cgroup.subtree_control", word); /* setting the limit tells whether it worked */
}

static const struct {
  const char *controller, *file, *without;
} LIMITS[LIMIT_COUNT] = {
    [LIMIT_MEMORY] = {"memory", "memory.max", "memory is not limited"},
    [LIMIT_PIDS] = {"pids", "pids.max", "processes are limited by RLIMIT_NPROC only, each user inside by itself"},
    [LIMIT_CPU] = {"cpu", "cpu.max", "processor time is not limited"},
};

static void unsupported(struct cgroup *cgroup, int which, const char *where) {
  snprintf(cgroup->limit[which], sizeof cgroup->limit[which], "unsupported: %.120s offers no %s controller, so %s",
           where, LIMITS[which].controller, LIMITS[which].without);
}

static void set_limit(struct cgroup *cgroup, int which, const char *value, const char *base) {
  if (cgroup->fd < 0) {
    unsupported(cgroup, which, "this host, without a cgroup v2 for us,");
    return;
  }
  enable(cgroup->base_fd, LIMITS[which].controller);
  if (write_text(cgroup->fd, LIMITS[which].file, value))
    snprintf(cgroup->limit[which], 16, "enforced");
  else
    unsupported(cgroup, which, base);
}

static void set_limits(struct cgroup *cgroup, const struct plan *plan, const char *base) {
  char value[64];
  if (plan->memory_bytes != 0) {
    snprintf(value, sizeof value, "%llu", (unsigned long long)plan->memory_bytes);
    set_limit(cgroup, LIMIT_MEMORY, value, base);
    if (strcmp(cgroup->limit[LIMIT_MEMORY], "enforced") == 0) {
      (void)!write_text(cgroup->fd, "memory.swap.max", "0"); /* not there on a kernel without swap accounting */
      (void)!write_text(cgroup->fd, "memory.oom.group", "1");
    }
  }
  if (plan->pids != 0) {
    snprintf(value, sizeof value, "%llu", (unsigned long long)plan->pids);
    set_limit(cgroup, LIMIT_PIDS, value, base);
  }
  if (plan->cpu_milli != 0) {
    snprintf(value, sizeof value, "%llu 100000", (unsigned long long)plan->cpu_milli * 100);
    set_limit(cgroup, LIMIT_CPU, value, base);
  }
}

/* mkdir, lock, and be sure that gc did not remove it in between. */
static int make_ours(struct cgroup *cgroup) {
  uint64_t random;
  if (getrandom(&random, sizeof random, 0) != sizeof random) return -1;
  snprintf(cgroup->name, sizeof cgroup->name, "toroid-%016llx", (unsigned long long)random);
  if (mkdirat(cgroup->base_fd, cgroup->name, 0755) != 0) return -1;
  cgroup->fd = openat(cgroup->base_fd, cgroup->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct stat there;
  if (cgroup->fd >= 0 && flock(cgroup->fd, LOCK_EX) == 0 && fstatat(cgroup->base_fd, cgroup->name, &there, 0) == 0)
    return 0;
  if (cgroup->fd >= 0) close(cgroup->fd);
  cgroup->fd = -1;
  return -1;
}

int cgroup_create(struct cgroup *cgroup, const struct plan *plan, struct failure *failure) {
  *cgroup = (struct cgroup){.fd = -1, .base_fd = -1, .base_is_default = plan->cgroup == NULL};
  char base[PATH_MAX] = "";
  /* another run may remove the default base, which it believes to be empty, before we are in it */
  for (int attempt = 0; attempt < TRIES && cgroup->fd < 0; attempt++) {
    if (cgroup->base_fd >= 0) close(cgroup->base_fd);
    cgroup->base_fd = open_base(plan->cgroup, base, sizeof base, failure);
    if (cgroup->base_fd < 0 || make_ours(cgroup) == 0 || (errno != ENOENT && errno != ENODEV && errno != EEXIST)) break;
  }
  if (cgroup->fd >= 0) {
    snprintf(cgroup->path, sizeof cgroup->path, "%.4000s/%s", base, cgroup->name);
  } else {
    if (plan->cgroup != NULL) return failed(failure, STEP, "cannot make a cgroup below %s", base);
    if (base[0] == '\0')
      snprintf(cgroup->why_none, sizeof cgroup->why_none, "this host has no cgroup v2");
    else
      snprintf(cgroup->why_none, sizeof cgroup->why_none, "none can be made below %.100s: %s", base, strerror(errno));
  }
  set_limits(cgroup, plan, base);
  return 0;
}

size_t cgroup_count(const struct cgroup *cgroup) {
  int fd = cgroup->fd < 0 ? -1 : openat(cgroup->fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  size_t count = 0;
  char text[4096];
  for (ssize_t got; (got = read(fd, text, sizeof text)) > 0;) {
    for (ssize_t i = 0; i < got; i++) count += text[i] == '\n';
  }
  close(fd);
  return count;
}

static bool is_populated(int fd) {
  char text[128];
  return read_text(fd, "cgroup.events", text, sizeof text) > 0 && strstr(text, "populated 1") != NULL;
}

static void wait_empty(int cgroup) {
  int events = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);
  if (events < 0) return;
  uint64_t until = now_us() + EMPTY_WAIT_MS * 1000ull;
  char text[128];
  for (;;) {
    ssize_t got = pread(events, text, sizeof text - 1, 0);
    uint64_t now = now_us();
    if (got <= 0 || now >= until) break;
    text[got] = '\0';
    if (strstr(text, "populated 0") != NULL) break;
    struct pollfd change = {.fd = events, .events = POLLPRI};
    (void)poll(&change, 1, (int)((until - now) / 1000) + 1);
  }
  close(events);
}

void cgroup_kill(const struct cgroup *cgroup) {
  if (cgroup->fd < 0) return;
  (void)!write_text(cgroup->fd, "cgroup.kill", "1"); /* before 5.14 there is none: pid 1's end ends all the same */
}

static bool number_after(const char *text, const char *key, uint64_t *value) {
  size_t length = strlen(key);
  for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, key, length) == 0 && line[length] == ' ') {
      *value = strtoull(line + length + 1, NULL, 10);
      return true;
    }
  }
  return false;
}

void cgroup_read(const struct cgroup *cgroup, struct cgroup_stats *stats) {
  *stats = (struct cgroup_stats){0};
  if (cgroup->fd < 0) return;
  char text[2048];
  if (read_text(cgroup->fd, "cpu.stat", text, sizeof text) > 0) {
    stats->has_cpu = number_after(text, "usage_usec", &stats->cpu_us);
    number_after(text, "throttled_usec", &stats->throttled_us);
  }
  if (cgroup->limit[LIMIT_MEMORY][0] == 'e') {
    if (read_text(cgroup->fd, "memory.events", text, sizeof text) > 0)
      number_after(text, "oom_kill", &stats->oom_kills);
    stats->has_memory_peak = read_text(cgroup->fd, "memory.peak", text, sizeof text) > 0;
    if (stats->has_memory_peak) stats->memory_peak = strtoull(text, NULL, 10);
  }
  if (cgroup->limit[LIMIT_PIDS][0] == 'e') {
    if (read_text(cgroup->fd, "pids.events", text, sizeof text) > 0) number_after(text, "max", &stats->pids_refused);
    stats->has_pids_peak = read_text(cgroup->fd, "pids.peak", text, sizeof text) > 0;
    if (stats->has_pids_peak) stats->pids_peak = strtoull(text, NULL, 10);
  }
}

/* A build may have made cgroups below its own: they go first. */
static int remove_below(int dir, const char *name, int depth) {
  if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  if (depth == 0 || (errno != EBUSY && errno != ENOTEMPTY)) return -1;
  int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return -1;
  wait_empty(fd);
  DIR *entries = fdopendir(fd);
  if (entries == NULL) {
    close(fd);
    return -1;
  }
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') (void)remove_below(fd, entry->d_name, depth - 1);
  }
  closedir(entries);
  return unlinkat(dir, name, AT_REMOVEDIR);
}

/* Ours by its name; it stays while anybody has a cgroup in it. */
static void remove_default_base(void) {
  char path[PATH_MAX];
  const char *mount = default_mount();
  if (mount == NULL) return;
  snprintf(path, sizeof path, "%s/toroid", mount);
  (void)rmdir(path);
}

int cgroup_remove(struct cgroup *cgroup) {
  if (cgroup->fd < 0) return 0;
  int result = remove_below(cgroup->base_fd, cgroup->name, 64);
  if (cgroup->base_is_default) remove_default_base();
  close(cgroup->fd);
  cgroup->fd = -1;
  return result;
}

static int collect_one(int base, const char *name) {
  int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return 0;
  int removed = 0;
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
    if (is_populated(fd)) (void)!write_text(fd, "cgroup.kill", "1");
    removed = remove_below(base, name, 64) == 0;
  }
  close(fd);
  return removed;
}

int cgroup_collect(const char *given, struct failure *failure) {
  char path[PATH_MAX] = "";
  if (given == NULL && default_mount() == NULL) return 0;
  int base = open_base(given, path, sizeof path, failure);
  if (base < 0) return failed(failure, "gc", "cannot open the cgroup directory %s", path);
  DIR *entries = fdopendir(base);
  if (entries == NULL) {
    close(base);
    return failed(failure, "gc", "cannot read %s", path);
  }
  int removed = 0;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strncmp(entry->d_name, "toroid-", 7) == 0) removed += collect_one(base, entry->d_name);
  }
  closedir(entries);
  if (given == NULL) remove_default_base();
  return removed;
}
