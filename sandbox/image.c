/* The new root: read-only layers with their owners moved into our range, and the scratch's upper on top.
 * The overlay is made here, with the host's privileges, so that nothing inside can forge its xattrs. */
#include <linux/mount.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "image"
enum { LAYERS_TEXT = 32 * (MAX_LOWERS + 1) };

static const unsigned LAYER = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

/* Topmost first, each a mount attached nowhere. */
struct layers {
  int fds[MAX_LOWERS + 1];
  size_t count;
};

static int open_lower(const struct plan *plan, size_t at, int userns, struct failure *failure) {
  const char *path = plan->lowers.at[at];
  bool host = strcmp(path, "host") == 0;
  int fd = plan->lower_fds[at] > 0 ? sys_open_tree(plan->lower_fds[at], "", OPEN_TREE_CLONE | AT_EMPTY_PATH)
                                   : sys_open_tree(AT_FDCWD, host ? "/" : path, OPEN_TREE_CLONE);
  if (fd < 0) return failed(failure, STEP, "cannot open the image %s%s", path, why_not_cloned(userns));
  struct stat root;
  if (fstat(fd, &root) != 0 || !S_ISDIR(root.st_mode)) {
    close(fd);
    errno = ENOTDIR;
    return failed(failure, STEP, "the image %s is not a directory", path);
  }
  struct mount_attr attr = mapped_by(plan->lower_shared[at] ? plan->bind_userns : userns);
  attr.attr_set |= MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (sys_mount_setattr(fd, "", AT_EMPTY_PATH, &attr) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return failed(failure, STEP, "the file system of the image %s cannot map owners", path);
}

/* Looks at an image by its own path, not through its layer, where the owners are already moved. */
static int mask_one(const struct plan *plan, int layer, size_t at, uint64_t uid_base, struct failure *failure) {
  const char *image = plan->lowers.at[at];
  bool host = strcmp(image, "host") == 0;
  int lower = plan->lower_fds[at] > 0 ? openat(plan->lower_fds[at], ".", O_PATH | O_DIRECTORY | O_CLOEXEC)
                                      : open(host ? "/" : image, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (lower < 0) return failed(failure, STEP, "cannot open the image %s", image);
  int result = mask_build(layer, lower, host, plan, uid_base, failure);
  close(lower);
  return result;
}

/* In memory; before 6.6 a tmpfs has no attributes of users, so a caller who is not root has it on the disk. */
static int make_mask_layer(const struct plan *plan, const struct scratch *scratch, struct failure *failure) {
  const struct fs_option options[] = {{"source", "mask"}, {"mode", "0755"}, {"size", "4194304"}, {NULL, NULL}};
  if (!plan->rootless) return fs_make("tmpfs", options, LAYER, failure, STEP);
  int layer = mkdirat(scratch->fd, "mask", 0755) == 0 ? sys_open_tree(scratch->fd, "mask", OPEN_TREE_CLONE) : -1;
  return layer >= 0 ? layer : failed(failure, STEP, "cannot make a directory for the masks");
}

static int make_mask(const struct plan *plan, const struct scratch *scratch, uint64_t uid_base,
                     struct failure *failure) {
  int layer = make_mask_layer(plan, scratch, failure);
  if (layer < 0) return -1;
  for (size_t i = 0; i < plan->lowers.count; i++) {
    if (mask_one(plan, layer, i, uid_base, failure) == 0) continue;
    close(layer);
    return -1;
  }
  return layer;
}

/* Names in the options are visible in the build's own mount table, so they are short and say nothing. */
static int make_overlay(const struct plan *plan, int scratch, const char *lowers, struct failure *failure) {
  char upper[48], work[48];
  snprintf(upper, sizeof upper, "/proc/self/fd/%d/upper", scratch);
  snprintf(work, sizeof work, "/proc/self/fd/%d/work", scratch);
  const struct fs_option options[] = {
      {"source", "root"},
      {"lowerdir", lowers},
      {"upperdir", upper},
      {"workdir", work},
      {"metacopy", "off"},
      {"index", "off"},
      {"redirect_dir", "nofollow"},
      {"volatile", NULL},
      {plan->rootless ? "userxattr" : NULL, NULL},
      {NULL, NULL},
  };
  return fs_make("overlay", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME, failure, STEP);
}

static void add_name(char *names, const char *before, int number) {
  size_t used = strlen(names);
  snprintf(names + used, LAYERS_TEXT - used, "%s%s%d", used == 0 ? "" : ":", before, number);
}

/* By number, for trying leaves an error in the kernel's log and a mark in the work directory. */
static bool takes_detached(void) {
  struct utsname name;
  unsigned major = 0, minor = 0;
  if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 15);
}

/* Since 6.15 overlay takes layers that are attached nowhere. */
static int overlay_detached(const struct plan *plan, const struct layers *layers, int scratch,
                            struct failure *failure) {
  char names[LAYERS_TEXT] = "";
  for (size_t i = 0; i < layers->count; i++) add_name(names, "/proc/self/fd/", layers->fds[i]);
  return make_overlay(plan, scratch, names, failure);
}

/* Before, each needs a place: a small file system of directories 0, 1, …, over the scratch directory, in a mount
 * namespace that is the helper's alone. */
static int overlay_attached(const struct plan *plan, const struct layers *layers, struct failure *failure) {
  char names[LAYERS_TEXT] = "", name[16];
  const struct fs_option options[] = {{"source", "stage"}, {"mode", "0700"}, {"size", "65536"}, {NULL, NULL}};
  if (unshare(CLONE_NEWNS) != 0 || sys_make_private("/") != 0)
    return failed(failure, STEP, "no mount namespace of our own");
  /* the scratch directory anew: a descriptor from before still means the host's namespace */
  int scratch = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int stage = fs_make("tmpfs", options, LAYER, failure, STEP);
  if (scratch < 0 || stage < 0 ||
      sys_move_mount(stage, "", scratch, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) != 0)
    return failed(failure, STEP, "cannot attach the layers' stage");
  for (size_t i = 0; i < layers->count; i++) {
    snprintf(name, sizeof name, "%d", (int)i);
    if (mkdirat(stage, name, 0700) != 0 ||
        sys_move_mount(layers->fds[i], "", stage, name, MOVE_MOUNT_F_EMPTY_PATH) != 0)
      return failed(failure, STEP, "cannot attach a layer");
    add_name(names, "", (int)i);
  }
  if (fchdir(stage) != 0) return failed(failure, STEP, "cannot enter the layers' stage");
  int root = make_overlay(plan, scratch, names, failure);
  (void)sys_umount(".", 2 /* MNT_DETACH */); /* or the scratch could not be removed */
  close(stage);
  close(scratch);
  return root;
}

int image_mount(const struct plan *plan, const struct scratch *scratch, int userns, uint64_t uid_base,
                struct steps *steps, struct failure *failure) {
  uint64_t mark = now_us();
  struct layers layers = {.count = 0};
  if (plan->image_is_host || plan->masks.count > 0) {
    layers.fds[0] = make_mask(plan, scratch, uid_base, failure);
    if (layers.fds[layers.count++] < 0 || fchdir(scratch->fd) != 0)
      return failed(failure, STEP, "cannot make the masks");
  }
  step_done(steps, "masks", &mark);
  for (size_t i = 0; i < plan->lowers.count; i++) {
    layers.fds[layers.count] = open_lower(plan, i, userns, failure);
    if (layers.fds[layers.count++] < 0) return -1;
  }
  step_done(steps, "layers", &mark);
  int root = takes_detached() ? overlay_detached(plan, &layers, scratch->fd, failure)
                              : overlay_attached(plan, &layers, failure);
  for (size_t i = 0; i < layers.count; i++) close(layers.fds[i]);
  step_done(steps, "overlay", &mark);
  return root;
}
