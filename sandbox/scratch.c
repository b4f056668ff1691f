/* The caller's directory for what the build writes: DIR/lock, DIR/upper, DIR/work. Held by a lock on
 * DIR/lock for as long as the helper lives, which is how gc tells the living from the dead. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"

#define STEP "scratch"
#define TRASH ".toroid-trash-"

static int lock_it(struct scratch *scratch, const struct plan *plan, struct failure *failure) {
  scratch->lock_fd = openat(scratch->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (scratch->lock_fd < 0) return failed(failure, STEP, "cannot make %s/lock", plan->scratch);
  if (flock(scratch->lock_fd, LOCK_EX | LOCK_NB) == 0) return 0;
  if (errno != EWOULDBLOCK) return failed(failure, STEP, "cannot lock %s/lock", plan->scratch);
  errno = 0;
  return failed(failure, STEP, "%s is in use by another run", plan->scratch);
}

/* What was written is owned by the range it was written under, so a second run takes the same. The lock
 * file remembers it: the owner of upper cannot tell, for the build may chown its own root directory. */
static int adopt_upper(struct scratch *scratch, struct plan *plan, struct failure *failure) {
  struct stat upper;
  char digits[32] = "";
  if (fstatat(scratch->disk, "upper", &upper, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return 0;
    return failed(failure, STEP, "cannot look at %s/upper", plan->scratch);
  }
  errno = 0;
  if (pread(scratch->lock_fd, digits, sizeof digits - 1, 0) <= 0 || !S_ISDIR(upper.st_mode))
    return failed(failure, STEP, "%s/upper is there and is none of ours", plan->scratch);
  uint64_t base = strtoull(digits, NULL, 10);
  if (plan->uid_base != 0 && plan->uid_base != base)
    return failed(failure, STEP, "%s was written under --uid-base %s and cannot be used under another", plan->scratch,
                  digits);
  plan->uid_base = base;
  scratch->reused = true;
  /* an overlay marked volatile is refused until its work directory is new */
  if (tree_remove(scratch->disk, "work") != 0 || tree_remove(scratch->fd, "mask") != 0)
    return failed(failure, STEP, "cannot remove %s/work", plan->scratch);
  return 0;
}

static int open_parent(struct scratch *scratch, const char *path, struct failure *failure) {
  char parent[PATH_MAX];
  snprintf(parent, sizeof parent, "%s", path);
  for (size_t end = strlen(parent); end > 1 && parent[end - 1] == '/';) parent[--end] = '\0';
  char *slash = strrchr(parent, '/');
  snprintf(scratch->name, sizeof scratch->name, "%s", slash + 1);
  slash[slash == parent ? 1 : 0] = '\0';
  scratch->parent_fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return scratch->parent_fd >= 0 ? 0 : failed(failure, STEP, "cannot open %s", parent);
}

int scratch_open(struct scratch *scratch, struct plan *plan, struct failure *failure) {
  if (open_parent(scratch, plan->scratch, failure) != 0) return -1;
  scratch->fd = openat(scratch->parent_fd, scratch->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  scratch->disk = scratch->fd;
  if (scratch->fd < 0) return failed(failure, STEP, "cannot open %s", plan->scratch);
  struct stat dir;
  if (fstat(scratch->fd, &dir) != 0) return failed(failure, STEP, "cannot look at %s", plan->scratch);
  errno = 0;
  if (dir.st_uid != geteuid() || (dir.st_mode & 077) != 0)
    return failed(failure, STEP, "%s must be ours with mode 0700, it is owned by %u with mode %04o", plan->scratch,
                  dir.st_uid, dir.st_mode & 07777);
  if (lock_it(scratch, plan, failure) != 0) return -1;
  return disk_adopt(scratch, failure) == 0 ? adopt_upper(scratch, plan, failure) : -1;
}

int scratch_prepare(struct scratch *scratch, uint64_t uid_base, struct failure *failure) {
  if (!scratch->reused) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)uid_base);
    if (pwrite(scratch->lock_fd, digits, (size_t)length, 0) != length)
      return failed(failure, STEP, "cannot write lock");
    if (mkdirat(scratch->disk, "upper", 0755) != 0) return failed(failure, STEP, "cannot make upper");
    if (disk_give(scratch, "upper", failure) != 0) return -1;
    if (fchownat(scratch->disk, "upper", (uid_t)uid_base, (gid_t)uid_base, AT_SYMLINK_NOFOLLOW) != 0)
      return failed(failure, STEP, "cannot give upper to %llu", (unsigned long long)uid_base);
  }
  if (mkdirat(scratch->disk, "work", 0700) != 0) return failed(failure, STEP, "cannot make work");
  return disk_give(scratch, "work", failure);
}

/* The first of the uids that wrote in it; 0: nobody did. */
static uint64_t uid_base_of(int lock) {
  char digits[32] = "";
  return pread(lock, digits, sizeof digits - 1, 0) > 0 ? strtoull(digits, NULL, 10) : 0;
}

int scratch_put_aside(const struct scratch *scratch, char *trash, size_t room) {
  struct stat there, ours;
  if (fstatat(scratch->parent_fd, scratch->name, &there, AT_SYMLINK_NOFOLLOW) != 0 || fstat(scratch->fd, &ours) != 0)
    return -1;
  errno = ESTALE; /* somebody put another directory in its place: that one is not ours to remove */
  if (there.st_dev != ours.st_dev || there.st_ino != ours.st_ino) return -1;
  disk_forget(scratch->fd, uid_base_of(scratch->lock_fd));
  snprintf(trash, room, TRASH "%s", scratch->name);
  if (renameat2(scratch->parent_fd, scratch->name, scratch->parent_fd, trash, RENAME_NOREPLACE) == 0) return 0;
  trash[0] = '\0';
  return tree_remove(scratch->parent_fd, scratch->name);
}

void scratch_delete(const struct scratch *scratch, const char *trash) {
  (void)setpriority(PRIO_PROCESS, 0, 10);
  if (tree_remove(scratch->parent_fd, trash) != 0) complain("%s cannot be deleted: %s", trash, strerror(errno));
}

/* A process of its own that holds nothing of the caller's. */
static void remove_in_background(const struct scratch *scratch, const char *trash) {
  pid_t pid = fork();
  if (pid < 0) (void)tree_remove(scratch->parent_fd, trash);
  if (pid != 0) return;
  setsid();
  (void)setpriority(PRIO_PROCESS, 0, 10);
  int parent = dup2(scratch->parent_fd, 0);
  (void)sys_close_range(1, ~0u);
  _exit(parent == 0 && tree_remove(parent, trash) == 0 ? 0 : 1);
}

/* Out of the way at once, deleted in the background: a build leaves tens of thousands of files. */
int scratch_remove(const struct scratch *scratch) {
  char trash[TRASH_NAME_BYTES];
  if (scratch_put_aside(scratch, trash, sizeof trash) != 0) return -1;
  if (trash[0] != '\0') remove_in_background(scratch, trash);
  return 0;
}

static bool is_written(int dir) {
  static const char *const NAMES[] = {"upper", DISK_IMAGE, DISK_MEMORY};
  for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
    if (faccessat(dir, NAMES[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0) return true;
  }
  return false;
}

/* 1 removed, 0 left alone. */
static int collect_one(int state, const char *name) {
  int dir = openat(state, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (dir < 0) return 0;
  int lock = openat(dir, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  bool trash = strncmp(name, TRASH, strlen(TRASH)) == 0;
  bool dead = trash || (lock >= 0 && is_written(dir) && flock(lock, LOCK_EX | LOCK_NB) == 0);
  if (dead) disk_forget(dir, lock < 0 ? 0 : uid_base_of(lock));
  int removed = dead && tree_remove(state, name) == 0;
  if (lock >= 0) close(lock);
  close(dir);
  return removed;
}

int scratch_discard(const char *state, const char *name, struct failure *failure) {
  errno = EINVAL;
  if (name[0] == '.' || name[0] == '\0' || strchr(name, '/') != NULL)
    return failed(failure, STEP, "%.100s is no name of a scratch", name);
  struct scratch scratch = {.parent_fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (scratch.parent_fd < 0) return failed(failure, STEP, "cannot open %s", state);
  snprintf(scratch.name, sizeof scratch.name, "%s", name);
  scratch.fd = openat(scratch.parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (scratch.fd < 0 && errno == ENOENT) return 0;
  scratch.lock_fd = scratch.fd < 0 ? -1 : openat(scratch.fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (scratch.lock_fd < 0) return failed(failure, STEP, "cannot open %s/%.100s", state, name);
  if (flock(scratch.lock_fd, LOCK_EX | LOCK_NB) != 0) return failed(failure, STEP, "%.100s is in use by a run", name);
  return scratch_remove(&scratch) == 0 ? 1 : failed(failure, STEP, "cannot remove %s/%.100s", state, name);
}

int scratch_collect(const char *path, struct failure *failure) {
  int state = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = state < 0 ? NULL : fdopendir(state);
  if (entries == NULL) {
    if (state >= 0) close(state);
    return failed(failure, "gc", "cannot read %s", path);
  }
  int removed = 0;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      removed += collect_one(state, entry->d_name);
  }
  closedir(entries);
  return removed;
}
