/* A range of 65,536 uids is used by one sandbox at a time. The lock is a byte range of one file, so it goes
 * with its holder however that ends, and ranges that only overlap exclude each other too. */
#include <linux/sched.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define LOCK_FILE "/run/toroid-sandbox.uids"
/* systemd's table of uids calls these unused; below are containers, above is its own. */
#define FIRST_BASE FIRST_BUILD_UID
#define LAST_BASE (2147352576ull - UID_COUNT)

/* Behind all uids: what is set aside for a `serve`, whether a run of it has it just now or not. */
#define RESERVED (1ull << 40)

static int lock(int fd, uint64_t base) {
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)base, .l_len = UID_COUNT};
  return fcntl(fd, F_OFD_SETLK, &range);
}

static bool is_locked(int fd, uint64_t base) {
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)base, .l_len = UID_COUNT};
  return fcntl(fd, F_OFD_GETLK, &range) != 0 || range.l_type != F_UNLCK;
}

int uids_lock(uint64_t *base, uint64_t wanted, struct failure *failure) {
  int fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return failed(failure, "uids", "cannot open " LOCK_FILE);
  if (wanted != 0) {
    *base = wanted;
    if (lock(fd, wanted) == 0) return fd;
    close(fd);
    if (errno != EAGAIN && errno != EACCES) return failed(failure, "uids", "cannot lock " LOCK_FILE);
    errno = 0;
    return failed(failure, "uids", "the uids from %llu on are in use by another run", (unsigned long long)wanted);
  }
  for (*base = FIRST_BASE; *base <= LAST_BASE; *base += UID_COUNT) {
    if (is_locked(fd, RESERVED + *base)) continue;
    if (lock(fd, *base) == 0) return fd;
    if (errno != EAGAIN && errno != EACCES) break;
  }
  int error = errno;
  close(fd);
  errno = error;
  return failed(failure, "uids", "no range of uids is free");
}

int uids_reserve(uint64_t *bases, size_t count, struct failure *failure) {
  int fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return failed(failure, "uids", "cannot open " LOCK_FILE);
  size_t found = 0;
  for (uint64_t base = LAST_BASE; found < count && base >= FIRST_BASE; base -= UID_COUNT) {
    if (is_locked(fd, base)) continue; /* a run on its own has it */
    if (lock(fd, RESERVED + base) == 0) bases[found++] = base;
  }
  if (found == count) return 0; /* the descriptor stays open: it is the reservation */
  close(fd);
  errno = 0;
  return failed(failure, "uids", "no %zu ranges of uids are free", count);
}

static int map_owner(int proc, const char *file, uint64_t uid_base, uint64_t owner) {
  char map[96];
  unsigned long long base = uid_base;
  snprintf(map, sizeof map, "%llu %llu 1\n%llu %llu %d\n", (unsigned long long)owner, base, base + 1, base + 1,
           UID_COUNT - 1);
  return write_text(proc, file, map) ? 0 : -1;
}

/* A namespace lives as long as a descriptor of it, so the process that it is made with may go at once. */
int userns_for_owner(uint64_t uid_base, uint64_t owner, uint64_t group, struct failure *failure) {
  struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
  pid_t pid = sys_clone3(&args);
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
  }
  if (pid < 0) return failed(failure, "maps", "the kernel makes no user namespace");
  char path[32];
  snprintf(path, sizeof path, "/proc/%d", pid);
  int proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), userns = -1;
  if (proc >= 0 && map_owner(proc, "uid_map", uid_base, owner) == 0 && map_owner(proc, "gid_map", uid_base, group) == 0)
    userns = openat(proc, "ns/user", O_RDONLY | O_CLOEXEC);
  int error = errno;
  if (proc >= 0) close(proc);
  (void)kill(pid, SIGKILL);
  while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
  errno = error;
  return userns >= 0 ? userns
                     : failed(failure, "maps", "cannot map uid %llu to uid 0 inside", (unsigned long long)owner);
}
