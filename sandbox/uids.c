/* A range of 65,536 uids is used by one sandbox at a time. The lock is a byte range of one file, so it goes
 * with its holder however that ends, and ranges that only overlap exclude each other too. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define LOCK_FILE "/run/toroid-sandbox.uids"
/* systemd's table of uids calls 1879048192 to 2147352575 unused; below are containers, above is its own. */
#define FIRST_BASE 1879048192ull
#define LAST_BASE (2147352576ull - UID_COUNT)

static int lock(int fd, uint64_t base) {
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)base, .l_len = UID_COUNT};
  return fcntl(fd, F_OFD_SETLK, &range);
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
    if (lock(fd, *base) == 0) return fd;
    if (errno != EAGAIN && errno != EACCES) break;
  }
  int error = errno;
  close(fd);
  errno = error;
  return failed(failure, "uids", "no range of uids is free");
}
