/* A small file system in a sparse file, for hosts whose own cannot limit a part of itself. It is mounted nowhere that a
 * person or another program could see, and the device frees itself: of a helper that was killed only the file is left.
 */
#include <linux/loop.h>
#include <linux/mount.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "disk.h"

#define STEP "disk"
enum { LOOP_MAJOR = 7, TRIES = 64, LET_GO_MS = 30000, LET_GO_STEP_MS = 5 };

/* Without a journal: after a crash of the host a scratch is worthless anyhow. */
#define FEATURES "none,dir_index,ext_attr,extent,filetype,flex_bg,huge_file,large_file,sparse_super"

static int make_file_system(int image, uint64_t inodes, struct failure *failure) {
  char count[24];
  snprintf(count, sizeof count, "%llu", (unsigned long long)inodes);
  const char *const argv[] = {"mke2fs",
                              "-q",
                              "-F",
                              "-t",
                              "ext4",
                              "-b",
                              "4096",
                              "-I",
                              "256",
                              "-m",
                              "0",
                              "-O",
                              FEATURES,
                              "-E",
                              "lazy_itable_init=1,nodiscard",
                              inodes == 0 ? "-i" : "-N",
                              inodes == 0 ? "16384" : count,
                              "/proc/self/fd/0",
                              NULL};
  return tool_run(STEP, argv, image, -1, failure);
}

int loop_make(int dir, uint64_t bytes, uint64_t inodes, struct failure *failure) {
  int image = openat(dir, DISK_IMAGE, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (image < 0) return failed(failure, STEP, "cannot make " DISK_IMAGE);
  int result = 0;
  if (ftruncate(image, (off_t)bytes) != 0)
    result = failed(failure, STEP, "cannot make " DISK_IMAGE " of %llu bytes", (unsigned long long)bytes);
  if (result == 0) result = make_file_system(image, inodes, failure);
  close(image);
  if (result != 0) (void)unlinkat(dir, DISK_IMAGE, 0);
  return result;
}

/* A file system that was unmounted a moment ago may still be on its way, and two on one image would ruin it: the kernel
 * grants a lease when nobody else has the file open. */
static int wait_until_let_go(int image) {
  const struct timespec step = {.tv_nsec = LET_GO_STEP_MS * 1000000};
  for (int waited = 0; fcntl(image, F_SETLEASE, F_WRLCK) != 0; waited += LET_GO_STEP_MS) {
    if (errno != EAGAIN || waited >= LET_GO_MS) return -1;
    (void)nanosleep(&step, NULL);
  }
  return fcntl(image, F_SETLEASE, F_UNLCK);
}

/* Somebody else may take the free one that we were told of. */
static int attach_device(int image, char path[32], struct failure *failure) {
  int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (control < 0) return failed(failure, STEP, "there are no loop devices: cannot open /dev/loop-control");
  struct loop_config config = {
      .fd = (unsigned)image,
      .info = {.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO},
  };
  int device = -1;
  for (int i = 0; i < TRIES; i++) {
    int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) break;
    snprintf(path, 32, "/dev/loop%d", number);
    device = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (device < 0) break;
    if (ioctl(device, LOOP_CONFIGURE, &config) == 0) break;
    int error = errno;
    close(device);
    device = -1;
    errno = error;
    if (error != EBUSY) break;
  }
  int error = errno;
  close(control);
  errno = error;
  return device >= 0 ? device : failed(failure, STEP, "no loop device can be had");
}

int loop_mount(int dir, struct failure *failure) {
  char device_path[32];
  struct stat status;
  int image = openat(dir, DISK_IMAGE, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
  if (image < 0) return failed(failure, STEP, "cannot open " DISK_IMAGE);
  if (fstat(image, &status) != 0 || !S_ISREG(status.st_mode) || wait_until_let_go(image) != 0) {
    int error = errno;
    close(image);
    errno = error;
    return failed(failure, STEP, DISK_IMAGE " is in use, or is no file");
  }
  int device = attach_device(image, device_path, failure), mount = -1;
  close(image);
  if (device < 0) return -1;
  const struct fs_option options[] = {
      {"source", device_path}, {"noinit_itable", NULL}, {"errors", "remount-ro"}, {NULL, NULL}};
  mount = fs_make("ext4", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME, failure, STEP);
  close(device); /* the mount holds it; without one it frees itself */
  return mount;
}
