/* A cgroup v2 directory of our own: where the processes are put when they are made, and ended. What they may take is in
 * limits.c, what they took in usage.c. Locked while we live, so that gc never takes a living one. */
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
#define MOST_BELOW "256"
#define MOST_DEEP "16"
enum { TRIES = 5, EMPTY_WAIT_MS = 10000, MAX_DEPTH = 64 };

const char *cgroup_mount(void) {
  static const char *const MOUNTS[] = {MOUNTPOINT_OF_CGROUP2, MOUNTPOINT_OF_CGROUP2 "/unified"};
  for (size_t i = 0; i < sizeof MOUNTS / sizeof MOUNTS[0]; i++) {
    struct statfs fs;
    if (statfs(MOUNTS[i], &fs) == 0 && fs.f_type == CGROUP2_MAGIC) return MOUNTS[i];
  }
  return NULL;
}

/* A given one must be there. */
static int open_given(const char *given, struct failure *failure) {
  int fd = open(given, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  struct statfs fs;
  if (fd < 0) return failed(failure, STEP, "cannot open --cgroup %s", given);
  if (fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_MAGIC) return fd;
  close(fd);
  errno = 0;
  return failed(failure, STEP, "--cgroup %s is not in a cgroup v2 hierarchy", given);
}

/* The kernel lets a cgroup pass controllers on or have processes, not both, the root excepted; and it says so late, by
 * a clone that fails. */
static int refuse_processes(int base, const char *given, struct failure *failure) {
  char type[32], first[32];
  if (read_text(base, "cgroup.type", type, sizeof type) <= 0) return 0; /* the root has none */
  type[strcspn(type, "\n")] = '\0';
  errno = 0;
  if (strcmp(type, "domain") != 0)
    return failed(failure, STEP, "--cgroup %s is of the type `%s`: give a directory of the type `domain`", given, type);
  if (read_text(base, "cgroup.procs", first, sizeof first) <= 0) return 0;
  first[strcspn(first, "\n")] = '\0';
  errno = 0;
  return failed(failure, STEP,
                "--cgroup %s has processes of its own (%s for one), and the kernel sets no limits below it then: move "
                "them to a cgroup below it, or give another directory",
                given, first);
}

/* The directory to make ours in. The default one is made below the mount. */
static int open_base(const char *given, char *path, size_t room, struct failure *failure) {
  if (given != NULL) {
    snprintf(path, room, "%s", given);
    return open_given(given, failure);
  }
  const char *mount = cgroup_mount();
  if (mount == NULL) {
    errno = ENOENT;
    return -1;
  }
  snprintf(path, room, "%s/toroid", mount);
  if (mkdir(path, 0755) != 0 && errno != EEXIST) return -1;
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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

int cgroup_create(struct cgroup *cgroup, const struct plan *plan, dev_t disk, struct failure *failure) {
  *cgroup = (struct cgroup){.fd = -1, .base_fd = -1, .base_is_default = plan->cgroup == NULL};
  char base[PATH_MAX] = "";
  /* another run may remove the default base, which it believes to be empty, before we are in it */
  for (int attempt = 0; attempt < TRIES && cgroup->fd < 0; attempt++) {
    if (cgroup->base_fd >= 0) close(cgroup->base_fd);
    cgroup->base_fd = open_base(plan->cgroup, base, sizeof base, failure);
    if (cgroup->base_fd >= 0 && plan->cgroup != NULL && refuse_processes(cgroup->base_fd, plan->cgroup, failure) != 0)
      return -1;
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
  limits_set(cgroup, plan, disk, base);
  return 0;
}

int cgroup_give(const struct cgroup *cgroup, const struct plan *plan, uint64_t uid_base, struct failure *failure) {
  static const char *const FILES[] = {".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"};
  errno = 0;
  if (plan->rootless) return failed(failure, STEP, "only root gives a run its cgroup: leave --cgroup-inside out");
  if (cgroup->fd < 0) return failed(failure, STEP, "there is none to give: %s", cgroup->why_none);
  for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++) {
    if (fchownat(cgroup->fd, FILES[i], (uid_t)uid_base, (gid_t)uid_base, AT_SYMLINK_NOFOLLOW) != 0)
      return failed(failure, STEP, "cannot give %s/%s to the run", cgroup->path, FILES[i]);
  }
  /* each is memory of the kernel's */
  if (write_text(cgroup->fd, "cgroup.max.descendants", MOST_BELOW) &&
      write_text(cgroup->fd, "cgroup.max.depth", MOST_DEEP))
    return 0;
  return failed(failure, STEP, "cannot limit the cgroups below %s", cgroup->path);
}

static size_t count_lines(int dir, const char *name) {
  int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
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

/* A build may have moved processes to cgroups below its own. Takes `dir` over. */
static size_t count_below(int dir, int depth) {
  size_t count = count_lines(dir, "cgroup.procs");
  DIR *entries = fdopendir(dir);
  if (entries == NULL) {
    close(dir);
    return count;
  }
  for (struct dirent *entry; depth > 0 && (entry = readdir(entries)) != NULL;) {
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    int below = openat(dir, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below >= 0) count += count_below(below, depth - 1);
  }
  closedir(entries);
  return count;
}

size_t cgroup_count(const struct cgroup *cgroup) {
  int dir = cgroup->fd < 0 ? -1 : openat(cgroup->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return dir < 0 ? 0 : count_below(dir, MAX_DEPTH);
}

/* They go first. */
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
  const char *mount = cgroup_mount();
  if (mount == NULL) return;
  snprintf(path, sizeof path, "%s/toroid", mount);
  (void)rmdir(path);
}

int cgroup_remove(struct cgroup *cgroup) {
  if (cgroup->fd < 0) return 0;
  int result = remove_below(cgroup->base_fd, cgroup->name, MAX_DEPTH);
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
    removed = remove_below(base, name, MAX_DEPTH) == 0;
  }
  close(fd);
  return removed;
}

int cgroup_collect(const char *given, struct failure *failure) {
  char path[PATH_MAX] = "";
  if (given == NULL && cgroup_mount() == NULL) return 0;
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
