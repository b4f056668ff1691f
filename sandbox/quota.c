/* Project quota: the kernel counts what belongs to a project and refuses what is beyond its limit, wherever in the file
 * system it lies. A project is a number that files have and that new ones get from their directory; only the host's
 * root changes it. Numbers are taken from the run's range of uids, which nobody else on this host has. */
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disk.h"

#define STEP "disk"
enum { QUOTA_BLOCK = 512, MAX_DEPTH = 256 };

static int quota_call(int dir, unsigned command, uint32_t project, void *data) {
  return (int)syscall(SYS_quotactl_fd, dir, QCMD(command, PRJQUOTA), project, data);
}

bool quota_is_enforced(int dir) {
  struct fs_quota_statv state = {.qs_version = FS_QSTATV_VERSION1};
  return quota_call(dir, Q_XGETQSTATV, 0, &state) == 0 && (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0;
}

/* 1: it owns something, 0: nothing, -1: errno. */
static int quota_usage(int dir, uint32_t project, struct fs_disk_quota *quota) {
  *quota = (struct fs_disk_quota){0};
  if (quota_call(dir, Q_XGETQUOTA, project, quota) != 0) return errno == ENOENT ? 0 : -1;
  return quota->d_icount > 0 || quota->d_bcount > 0;
}

uint32_t quota_choose(int dir, uint64_t first, struct failure *failure) {
  struct fs_disk_quota quota;
  for (uint64_t project = first; project < first + UID_COUNT; project++) {
    int used = quota_usage(dir, (uint32_t)project, &quota);
    if (used == 0) return (uint32_t)project;
    if (used < 0) break;
  }
  failed(failure, STEP, "no project of %d from %llu on is free", UID_COUNT, (unsigned long long)first);
  return 0;
}

int quota_limit(int dir, uint32_t project, uint64_t bytes, uint64_t inodes, struct failure *failure) {
  struct fs_disk_quota quota = {
      .d_version = FS_DQUOT_VERSION,
      .d_flags = FS_PROJ_QUOTA,
      .d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT | FS_DQ_IHARD | FS_DQ_ISOFT,
      .d_id = project,
      .d_blk_hardlimit = bytes / QUOTA_BLOCK,
      .d_ino_hardlimit = inodes,
  };
  if (quota_call(dir, Q_XSETQLIM, project, &quota) == 0) return 0;
  return failed(failure, STEP, "cannot limit project %u", project);
}

bool quota_is_full(int dir, uint32_t project) {
  struct fs_disk_quota quota;
  if (quota_usage(dir, project, &quota) <= 0) return false;
  uint64_t limit = quota.d_blk_hardlimit * QUOTA_BLOCK, used = quota.d_bcount * QUOTA_BLOCK;
  if (limit != 0 && disk_has_no_room(limit, used < limit ? limit - used : 0)) return true;
  return quota.d_ino_hardlimit != 0 && quota.d_icount >= quota.d_ino_hardlimit;
}

uint32_t quota_project_of(int fd) {
  struct fsxattr attributes;
  return ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0 ? attributes.fsx_projid : 0;
}

/* 1: it was the project's already. */
static int give(int fd, bool directory, uint32_t project) {
  struct fsxattr attributes;
  if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0) return -1;
  bool inherited = !directory || (attributes.fsx_xflags & FS_XFLAG_PROJINHERIT) != 0;
  if (attributes.fsx_projid == project && inherited) return 1;
  attributes.fsx_projid = project;
  if (directory) attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  return ioctl(fd, FS_IOC_FSSETXATTR, &attributes) == 0 ? 0 : -1;
}

int quota_give(int dir, const char *name, uint32_t project, struct failure *failure) {
  int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int result = fd < 0 ? -1 : give(fd, true, project), error = errno;
  if (fd >= 0) close(fd);
  errno = error;
  return result >= 0 ? 0 : failed(failure, STEP, "cannot give %s to project %u", name, project);
}

static int give_all(int fd, int depth, uint32_t project);

/* Links, devices, sockets and pipes cannot be given, and have no blocks. What has more names than this one belongs to
 * others too, as the objects of a repository that were linked into a clone do. */
static int give_entry(int dir, const char *name, int depth, uint32_t project) {
  struct stat status;
  if (fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
  bool directory = S_ISDIR(status.st_mode);
  if (!directory && (!S_ISREG(status.st_mode) || status.st_nlink > 1)) return 0;
  int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (directory ? O_DIRECTORY : 0));
  if (fd < 0) return errno == ENOENT ? 0 : -1;
  if (directory) return give_all(fd, depth + 1, project);
  int result = give(fd, false, project), error = errno;
  close(fd);
  errno = error;
  return result < 0 ? -1 : 0;
}

/* A directory after what is in it, so that one that is the project's has all of it given. Takes `fd` over. */
static int give_all(int fd, int depth, uint32_t project) {
  errno = ELOOP;
  DIR *entries = depth < MAX_DEPTH ? fdopendir(fd) : NULL;
  int result = entries == NULL ? -1 : 0;
  for (struct dirent *entry; result == 0 && (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      result = give_entry(fd, entry->d_name, depth, project);
  }
  if (result == 0) result = give(fd, true, project);
  int error = errno;
  if (entries == NULL)
    close(fd);
  else
    closedir(entries);
  errno = error;
  return result < 0 ? -1 : 0;
}

int quota_give_tree(int fd, uint32_t project, struct failure *failure) {
  struct fsxattr attributes;
  struct stat status;
  int result = fstat(fd, &status) != 0 || ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0 ? -1 : 1;
  bool directory = result > 0 && S_ISDIR(status.st_mode);
  bool given = result > 0 && attributes.fsx_projid == project &&
               (!directory || (attributes.fsx_xflags & FS_XFLAG_PROJINHERIT) != 0);
  if (result > 0 && directory && !given) {
    result = give_all(fd, 0, project);
  } else {
    if (result > 0 && !given) result = give(fd, false, project);
    int error = errno;
    close(fd);
    errno = error;
  }
  return result >= 0 ? 0 : failed(failure, STEP, "cannot give all files of a tree to project %u", project);
}
