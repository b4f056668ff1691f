/* The new root: read-only layers with their owners moved into our range, and the scratch's upper on top.
 * The overlay is made here, with the host's privileges, so that nothing inside can forge its xattrs. */
#include <linux/mount.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "image"
enum { LAYERS_TEXT = 512 };

/* Before 6.15 overlay refuses a layer whose mount is attached nowhere. Ours are attached to a small file
 * system of directories `m`, `0`, `1`, …, in a mount namespace that is the helper's alone. */
static int make_stage(int here, bool with_mask, size_t lowers, struct failure *failure) {
  const struct fs_option options[] = {{"source", "stage"}, {"mode", "0700"}, {"size", "4194304"}, {NULL, NULL}};
  int stage = fs_make("tmpfs", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, failure, STEP);
  if (stage < 0) return -1;
  if (sys_move_mount(stage, "", here, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    return failed(failure, STEP, "cannot attach the layers' stage");
  if (with_mask && mkdirat(stage, "m", 0755) != 0) return failed(failure, STEP, "cannot make the layer of masks");
  for (size_t i = 0; i < lowers; i++) {
    char name[16];
    snprintf(name, sizeof name, "%zu", i);
    if (mkdirat(stage, name, 0700) != 0) return failed(failure, STEP, "cannot make a place for a layer");
  }
  return stage;
}

static int open_lower(const char *path, int userns, struct failure *failure) {
  bool host = strcmp(path, "host") == 0;
  int fd = sys_open_tree(AT_FDCWD, host ? "/" : path, OPEN_TREE_CLONE);
  if (fd < 0) return failed(failure, STEP, "cannot open the image %s", path);
  struct stat root;
  if (fstat(fd, &root) != 0 || !S_ISDIR(root.st_mode)) {
    close(fd);
    errno = ENOTDIR;
    return failed(failure, STEP, "the image %s is not a directory", path);
  }
  struct mount_attr attr = {
      .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
      .userns_fd = (uint64_t)userns,
  };
  if (sys_mount_setattr(fd, "", AT_EMPTY_PATH, &attr) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return failed(failure, STEP, "the file system of the image %s cannot map owners", path);
}

static int attach_lowers(const struct plan *plan, int stage, int userns, char *layers, struct failure *failure) {
  for (size_t i = 0; i < plan->lowers.count; i++) {
    char name[16];
    snprintf(name, sizeof name, "%zu", i);
    int lower = open_lower(plan->lowers.at[i], userns, failure);
    if (lower < 0) return -1;
    int result = sys_move_mount(lower, "", stage, name, MOVE_MOUNT_F_EMPTY_PATH);
    int error = errno;
    close(lower);
    errno = error;
    if (result != 0) return failed(failure, STEP, "cannot attach the image %s", plan->lowers.at[i]);
    size_t used = strlen(layers);
    snprintf(layers + used, LAYERS_TEXT - used, "%s%s", used == 0 ? "" : ":", name);
  }
  return 0;
}

/* Names in the options are visible in the build's own mount table, so they are short and say nothing. */
static int make_overlay(int here, const char *layers, struct failure *failure) {
  char upper[48], work[48];
  snprintf(upper, sizeof upper, "/proc/self/fd/%d/upper", here);
  snprintf(work, sizeof work, "/proc/self/fd/%d/work", here);
  const struct fs_option options[] = {
      {"source", "root"}, {"lowerdir", layers},         {"upperdir", upper}, {"workdir", work}, {"metacopy", "off"},
      {"index", "off"},   {"redirect_dir", "nofollow"}, {"volatile", NULL},  {NULL, NULL},
  };
  return fs_make("overlay", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME, failure, STEP);
}

/* Looks at the image by its own path, not through its layer, where the owners are already moved. */
static int mask_layer(const struct plan *plan, int stage, const char *image, uint64_t uid_base,
                      struct failure *failure) {
  bool host = strcmp(image, "host") == 0;
  int layer = openat(stage, "m", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int lower = open(host ? "/" : image, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (layer < 0 || lower < 0) return failed(failure, STEP, "cannot open the layer of masks");
  int result = mask_build(layer, lower, host, plan, uid_base, failure);
  close(layer);
  close(lower);
  return result;
}

int image_mount(const struct plan *plan, int userns, uint64_t uid_base, struct steps *steps, struct failure *failure) {
  uint64_t mark = now_us();
  char layers[LAYERS_TEXT] = "";
  bool with_mask = plan->image_is_host || plan->masks.count > 0;
  if (unshare(CLONE_NEWNS) != 0 || sys_make_private("/") != 0)
    return failed(failure, STEP, "no mount namespace of our own");
  /* the scratch directory anew: a descriptor from before still means the host's namespace */
  int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (here < 0) return failed(failure, STEP, "cannot open the scratch directory");
  int stage = make_stage(here, with_mask, plan->lowers.count, failure);
  if (stage < 0) return -1;
  if (with_mask) strcpy(layers, "m");
  if (attach_lowers(plan, stage, userns, layers, failure) != 0) return -1;
  step_done(steps, "layers", &mark);
  for (size_t i = 0; with_mask && i < plan->lowers.count; i++) {
    if (mask_layer(plan, stage, plan->lowers.at[i], uid_base, failure) != 0) return -1;
  }
  step_done(steps, "masks", &mark);
  if (fchdir(stage) != 0) return failed(failure, STEP, "cannot enter the layers' stage");
  int root = make_overlay(here, layers, failure);
  step_done(steps, "overlay", &mark);
  close(stage);
  close(here);
  return root;
}

void image_leave(void) {
  (void)sys_umount(".", 2 /* MNT_DETACH */);
  (void)!chdir("/");
}
