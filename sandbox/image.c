/* The new root: read-only layers with their owners moved into our range, and the scratch's upper on top.
 * The overlay is made here, with the host's privileges, so that nothing inside can forge its xattrs. */
#include <linux/mount.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "image"
static const unsigned LAYER = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

struct making {
  const struct plan *plan;
  const struct scratch *scratch;
  int userns;
  uint64_t uid_base;
  struct failure *failure;
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

/* What hides things of the images `from` to `to`. */
static int make_mask(const struct making *making, size_t from, size_t to) {
  int layer = make_mask_layer(making->plan, making->scratch, making->failure);
  bool good = layer >= 0;
  for (size_t i = from; good && i < to; i++)
    good = mask_one(making->plan, layer, i, making->uid_base, making->failure) == 0;
  if (good && fchdir(making->scratch->fd) == 0) return layer; /* the masks were made from within */
  if (layer >= 0) close(layer);
  return failed(making->failure, STEP, "cannot make the masks");
}

static int add(struct layers *layers, int layer) {
  if (layer < 0) return -1;
  layers->fds[layers->count++] = layer;
  return 0;
}

static void close_layers(struct layers *layers) {
  for (size_t i = 0; i < layers->count; i++) close(layers->fds[i]);
  layers->count = 0;
}

/* Where images lie above the host's root, that is one layer, its masks included: they hide nothing of the images, and
 * overlay takes no layer that lies within another, as a directory of the host does within its root. */
static int add_host(const struct making *making, struct stage *stage, struct layers *layers, struct layers *host) {
  if (host->count == 0) return 0;
  return add(layers, stage_overlay(stage, host, OVERLAY_READ_ONLY, making->failure));
}

/* Of the root alone: what is bound or in memory stays without. */
static int let_setuid(int root, struct failure *failure) {
  struct mount_attr attr = {.attr_clr = MOUNT_ATTR_NOSUID};
  if (sys_mount_setattr(root, "", AT_EMPTY_PATH, &attr) == 0) return root;
  close(root);
  return failed(failure, STEP, "the root cannot have setuid files that work");
}

int image_mount(const struct plan *plan, const struct scratch *scratch, int userns, uint64_t uid_base,
                struct steps *steps, struct failure *failure) {
  const struct making making = {plan, scratch, userns, uid_base, failure};
  struct layers layers = {.count = 0}, host = {.count = 0};
  struct stage stage;
  uint64_t mark = now_us();
  size_t all = plan->lowers.count, own = plan->image_is_host ? all - 1 : all;
  struct layers *for_host = own == 0 ? &layers : &host;
  if (own > 0 && plan->masks.count > 0 && add(&layers, make_mask(&making, 0, own)) != 0) return -1;
  if (own < all && add(for_host, make_mask(&making, own, all)) != 0) return -1;
  step_done(steps, "masks", &mark);
  for (size_t i = 0; i < all; i++) {
    if (add(i < own ? &layers : for_host, open_lower(plan, i, userns, failure)) != 0) return -1;
  }
  step_done(steps, "layers", &mark);
  int root = -1;
  if (stage_open(&stage, scratch, failure) == 0 && add_host(&making, &stage, &layers, &host) == 0)
    root = stage_overlay(&stage, &layers, plan->rootless ? OVERLAY_ROOTLESS : OVERLAY_OF_ROOT, failure);
  if (root >= 0 && plan->allow_suid) root = let_setuid(root, failure);
  stage_close(&stage);
  close_layers(&layers);
  close_layers(&host);
  step_done(steps, "overlay", &mark);
  return root;
}
