/* What a run may write to disk: how it is held to that, found out by trying. Project quota where the file system of the
 * scratch has it, else a file system of its own in a file, or in memory where that is asked for. */
#include <linux/mount.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "disk.h"

#define STEP "disk"
enum {
  PART = 64,
  LEAST_ROOM = 64 << 10,
  MOST_ROOM = 4 << 20,
  LAZY = 2 /* MNT_DETACH */,
  DO_NOT_FOLLOW = 8 /* UMOUNT_NOFOLLOW */
};

static const char *const HOW[] = {
    [DISK_QUOTA] = "project quota",
    [DISK_LOOP] = "a file system of its own, in a file",
    [DISK_MEMORY_KEPT] = "a file system of its own, in memory",
    [DISK_IN_MEMORY] = "a file system of its own, in memory",
};

static bool is_asked(const struct plan *plan) {
  return plan->disk_bytes != 0 || plan->disk_inodes != 0;
}

static void set_device(struct scratch *scratch) {
  struct stat root;
  if (fstat(scratch->disk, &root) == 0) scratch->device = root.st_dev;
}

/* What an earlier run was counted as; 0: as nothing of ours. */
static uint32_t project_of_upper(int scratch, uint64_t uid_base) {
  int upper = openat(scratch, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  uint32_t project = upper < 0 ? 0 : quota_project_of(upper);
  if (upper >= 0) close(upper);
  return project >= uid_base && project < uid_base + UID_COUNT ? project : 0;
}

/* ---- in memory ---- */

static int memory_mount(const struct plan *plan, struct failure *failure) {
  char bytes[24], inodes[24];
  snprintf(bytes, sizeof bytes, "%llu", (unsigned long long)plan->disk_bytes);
  snprintf(inodes, sizeof inodes, "%llu", (unsigned long long)plan->disk_inodes);
  const struct fs_option options[] = {
      {"source", "scratch"}, {"mode", "0700"}, {"size", bytes}, {"nr_inodes", inodes}, {NULL, NULL}};
  return fs_make("tmpfs", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME, failure, STEP);
}

/* To be kept it has to be somewhere: in the scratch, where the next run finds it. Ours is one attached nowhere. */
static int memory_keep(struct scratch *scratch, int mount, struct failure *failure) {
  if (mkdirat(scratch->fd, DISK_MEMORY, 0700) != 0 ||
      sys_move_mount(mount, "", scratch->fd, DISK_MEMORY, MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return failed(failure, STEP, "cannot attach the file system in memory");
  scratch->mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  int ours = sys_open_tree(scratch->fd, DISK_MEMORY, OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW);
  close(mount);
  return ours >= 0 ? ours : failed(failure, STEP, "cannot open the file system in memory");
}

/* In a directory that is the caller's alone. That nothing is mounted there is no mistake. */
static void memory_forget(int scratch) {
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d/" DISK_MEMORY, scratch);
  (void)sys_umount(path, LAZY | DO_NOT_FOLLOW);
}

/* ---- what an earlier run left ---- */

int disk_adopt(struct scratch *scratch, struct failure *failure) {
  struct stat found;
  if (fstatat(scratch->fd, DISK_IMAGE, &found, AT_SYMLINK_NOFOLLOW) == 0) {
    scratch->kind = DISK_LOOP;
    scratch->disk_bytes = (uint64_t)found.st_size;
    scratch->disk = loop_mount(scratch->fd, failure);
  } else if (fstatat(scratch->fd, DISK_MEMORY, &found, AT_SYMLINK_NOFOLLOW) == 0) {
    scratch->kind = DISK_MEMORY_KEPT;
    scratch->mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
    scratch->disk = sys_open_tree(scratch->fd, DISK_MEMORY, OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW);
    if (scratch->disk < 0) return failed(failure, STEP, "cannot open the file system in memory that is kept");
    struct statvfs size;
    if (fstatvfs(scratch->disk, &size) != 0) return failed(failure, STEP, "cannot look at what is kept in memory");
    scratch->disk_bytes = (uint64_t)size.f_blocks * size.f_frsize;
  }
  if (scratch->disk < 0) return -1;
  set_device(scratch);
  return 0;
}

/* ---- what this run gets ---- */

/* What is counted besides the scratch has to be where the scratch is. NULL: it is. */
static const char *counted_elsewhere(const struct scratch *scratch, const struct plan *plan) {
  for (size_t i = 0; i < plan->op_count; i++) {
    const struct op *op = &plan->ops[i];
    struct stat source;
    if (op->kind != OP_BIND || !op->counted) continue;
    int result = op->source_fd > 0 ? fstat(op->source_fd, &source) : stat(op->source, &source);
    if (result == 0 && (scratch->project == 0 || source.st_dev != scratch->device)) return op->source;
  }
  return NULL;
}

static int choose_quota(struct scratch *scratch, const struct plan *plan, uint64_t uid_base, struct failure *failure) {
  uint32_t known = project_of_upper(scratch->fd, uid_base);
  uint32_t project = known != 0 ? known : quota_choose(scratch->fd, uid_base, failure);
  if (project == 0 || quota_limit(scratch->fd, project, plan->disk_bytes, plan->disk_inodes, failure) != 0) return -1;
  if (scratch->reused && known == 0) {
    int upper = openat(scratch->fd, "upper", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (upper < 0) return failed(failure, STEP, "cannot open upper");
    if (quota_give_tree(upper, project, failure) != 0) return -1;
  }
  scratch->project = project;
  scratch->kind = DISK_QUOTA;
  return 0;
}

static int choose_own(struct scratch *scratch, const struct plan *plan, struct failure *failure) {
  errno = 0;
  if (scratch->reused)
    return failed(failure, STEP, "the scratch was written without a limit, and its file system has no project quota");
  if (plan->disk_in_memory) {
    int mount = memory_mount(plan, failure);
    if (mount >= 0 && plan->keep_scratch) mount = memory_keep(scratch, mount, failure);
    if (mount < 0) return -1;
    scratch->kind = plan->keep_scratch ? DISK_MEMORY_KEPT : DISK_IN_MEMORY;
    scratch->disk = mount;
  } else {
    if (plan->disk_bytes == 0)
      return failed(failure, STEP, "without project quota --disk-inodes needs --disk-bytes beside it");
    if (loop_make(scratch->fd, plan->disk_bytes, plan->disk_inodes, failure) != 0) return -1;
    int mount = loop_mount(scratch->fd, failure);
    if (mount < 0) {
      (void)unlinkat(scratch->fd, DISK_IMAGE, 0);
      return -1;
    }
    scratch->kind = DISK_LOOP;
    scratch->disk = mount;
  }
  set_device(scratch);
  return 0;
}

/* A file system has its size from the start. */
static int check_size(const struct scratch *scratch, const struct plan *plan, struct failure *failure) {
  uint64_t pages = (plan->disk_bytes + 4095) / 4096 * 4096;
  if (plan->disk_bytes == 0 || scratch->disk_bytes == plan->disk_bytes || scratch->disk_bytes == pages) return 0;
  errno = 0;
  return failed(failure, STEP, "%s was made with --disk-bytes %llu and cannot be used with another", plan->scratch,
                (unsigned long long)scratch->disk_bytes);
}

static void tell(struct disk_limits *limits, const struct plan *plan, const char *text) {
  if (plan->disk_bytes != 0) snprintf(limits->bytes, sizeof limits->bytes, "%s", text);
  if (plan->disk_inodes != 0) snprintf(limits->inodes, sizeof limits->inodes, "%s", text);
}

int disk_choose(struct scratch *scratch, const struct plan *plan, uint64_t uid_base, struct disk_limits *limits,
                struct failure *failure) {
  char text[256];
  struct failure why = {0};
  bool is_own = scratch->kind == DISK_LOOP || scratch->kind == DISK_MEMORY_KEPT;
  if (is_own && check_size(scratch, plan, failure) != 0) return -1;
  if (!is_asked(plan)) {
    /* a limit of an earlier run is not one of this */
    uint32_t project = is_own || !scratch->reused ? 0 : project_of_upper(scratch->fd, uid_base);
    return project == 0 ? 0 : quota_limit(scratch->fd, project, 0, 0, failure);
  }
  if (plan->rootless) {
    tell(limits, plan, "unsupported: a caller who is not root has no quota, so what is written is not limited");
    return 0;
  }
  bool by_quota = !is_own && !plan->disk_in_memory && quota_is_enforced(scratch->fd);
  int result = is_own ? 0 : by_quota ? choose_quota(scratch, plan, uid_base, &why) : choose_own(scratch, plan, &why);
  if (result != 0) {
    char sentence[200];
    failure_sentence(&why, sentence, sizeof sentence);
    snprintf(text, sizeof text, "unsupported: %.180s, so what is written is not limited", sentence);
    tell(limits, plan, text);
    return 0;
  }
  const char *elsewhere = counted_elsewhere(scratch, plan);
  if (elsewhere != NULL)
    snprintf(text, sizeof text, "unsupported: %.80s is not counted by %s, so only what is written elsewhere is limited",
             elsewhere, HOW[scratch->kind]);
  else
    snprintf(text, sizeof text, "enforced: %s", HOW[scratch->kind]);
  tell(limits, plan, text);
  return 0;
}

/* What is written in pieces is refused a piece before the last byte. */
bool disk_has_no_room(uint64_t size, uint64_t left) {
  uint64_t room = size / PART;
  if (room < LEAST_ROOM) room = LEAST_ROOM;
  return left < (room > MOST_ROOM ? MOST_ROOM : room);
}

bool disk_is_full(const struct scratch *scratch) {
  struct statvfs left;
  switch (scratch->kind) {
  case DISK_UNLIMITED: return false;
  case DISK_QUOTA: return quota_is_full(scratch->fd, scratch->project);
  case DISK_LOOP:
  case DISK_IN_MEMORY:
  case DISK_MEMORY_KEPT:
    if (fstatvfs(scratch->disk, &left) != 0) return false;
    return disk_has_no_room((uint64_t)left.f_blocks * left.f_frsize, (uint64_t)left.f_bavail * left.f_frsize) ||
           (left.f_files > 0 && left.f_favail == 0);
  }
  return false;
}

int disk_give(const struct scratch *scratch, const char *name, struct failure *failure) {
  return scratch->project == 0 ? 0 : quota_give(scratch->disk, name, scratch->project, failure);
}

void disk_close(struct scratch *scratch) {
  if (scratch->disk >= 0 && scratch->disk != scratch->fd) close(scratch->disk);
  scratch->disk = scratch->fd;
  /* on older kernels we are in a mount namespace of our own by now, and what is kept is in the host's */
  if (scratch->mounts > 0 && setns(scratch->mounts, CLONE_NEWNS) != 0)
    complain("cannot go back to the host's mounts: %s", strerror(errno));
  if (scratch->mounts > 0) close(scratch->mounts);
  scratch->mounts = 0;
}

void disk_forget(int scratch, uint64_t uid_base) {
  struct failure failure = {0};
  memory_forget(scratch);
  uint32_t project = uid_base == 0 ? 0 : project_of_upper(scratch, uid_base);
  /* a limit that stays is one on nothing, and is set anew when the project is used again */
  if (project != 0) (void)quota_limit(scratch, project, 0, 0, &failure);
}
