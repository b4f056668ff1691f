/* Overlays over layers that are mounts attached nowhere. Since Linux 6.15 overlay takes such layers as they are.
 * Before, each needs a place: a small file system of directories 0, 1, …, over the scratch directory, in a mount
 * namespace that is the helper's alone. */
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
enum { LAYER_NAME = 32, OPTIONS = 16 };

/* By number, for trying leaves an error in the kernel's log and a mark in the work directory. */
bool overlay_takes_detached(void) {
  struct utsname name;
  unsigned major = 0, minor = 0;
  if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 15);
}

/* A file system of the scratch's own has no place in this namespace yet. */
static int attach_disk(struct stage *stage, const struct scratch *scratch, struct failure *failure) {
  close(stage->scratch);
  stage->scratch = -1;
  if (mkdirat(stage->fd, "disk", 0700) == 0 &&
      sys_move_mount(scratch->disk, "", stage->fd, "disk", MOVE_MOUNT_F_EMPTY_PATH) == 0)
    stage->scratch = openat(stage->fd, "disk", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return stage->scratch >= 0 ? 0 : failed(failure, STEP, "cannot attach the scratch's file system");
}

int stage_open(struct stage *stage, const struct scratch *scratch, struct failure *failure) {
  *stage = (struct stage){.fd = -1, .scratch = scratch->disk};
  if (overlay_takes_detached()) return 0;
  const struct fs_option options[] = {{"source", "stage"}, {"mode", "0700"}, {"size", "65536"}, {NULL, NULL}};
  if (unshare(CLONE_NEWNS) != 0 || sys_make_private("/") != 0)
    return failed(failure, STEP, "no mount namespace of our own");
  /* the scratch directory anew: a descriptor from before still means the host's namespace */
  stage->scratch = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  stage->fd = fs_make("tmpfs", options, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, failure, STEP);
  if (stage->scratch >= 0 && stage->fd >= 0 &&
      sys_move_mount(stage->fd, "", stage->scratch, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0 &&
      fchdir(stage->fd) == 0)
    return scratch->disk == scratch->fd ? 0 : attach_disk(stage, scratch, failure);
  return failed(failure, STEP, "cannot attach the layers' stage");
}

void stage_close(struct stage *stage) {
  if (stage->fd < 0) return;
  (void)sys_umount(".", 2 /* MNT_DETACH */); /* or the scratch could not be removed */
  close(stage->fd);
  if (stage->scratch >= 0) close(stage->scratch);
}

/* How overlay finds a layer. Names are visible in the build's own mount table, so they are short and say nothing. */
static int name_layer(struct stage *stage, int layer, char name[LAYER_NAME], struct failure *failure) {
  if (stage->fd < 0) {
    snprintf(name, LAYER_NAME, "/proc/self/fd/%d", layer);
    return 0;
  }
  snprintf(name, LAYER_NAME, "%d", (int)stage->count++);
  if (mkdirat(stage->fd, name, 0700) == 0 && sys_move_mount(layer, "", stage->fd, name, MOVE_MOUNT_F_EMPTY_PATH) == 0)
    return 0;
  return failed(failure, STEP, "cannot attach a layer");
}

int stage_overlay(struct stage *stage, const struct layers *layers, enum overlay_kind kind, struct failure *failure) {
  char names[MAX_LAYERS][LAYER_NAME], joined[MAX_LAYERS * 4] = "", upper[48], work[48];
  struct fs_option options[MAX_LAYERS + OPTIONS] = {{"source", "root"}};
  size_t count = 1;
  for (size_t i = 0; i < layers->count; i++) {
    if (name_layer(stage, layers->fds[i], names[i], failure) != 0) return -1;
    if (stage->fd < 0) /* one by one, for the kernel takes no longer text than 255 bytes */
      options[count++] = (struct fs_option){"lowerdir+", names[i]};
    else
      snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", i == 0 ? "" : ":", names[i]);
  }
  if (stage->fd >= 0) options[count++] = (struct fs_option){"lowerdir", joined};
  if (kind != OVERLAY_READ_ONLY) {
    snprintf(upper, sizeof upper, "/proc/self/fd/%d/upper", stage->scratch);
    snprintf(work, sizeof work, "/proc/self/fd/%d/work", stage->scratch);
    options[count++] = (struct fs_option){"upperdir", upper};
    options[count++] = (struct fs_option){"workdir", work};
    options[count++] = (struct fs_option){"volatile", NULL};
  }
  options[count++] = (struct fs_option){"metacopy", "off"};
  options[count++] = (struct fs_option){"index", "off"};
  options[count++] = (struct fs_option){"redirect_dir", "nofollow"};
  if (kind == OVERLAY_ROOTLESS) options[count++] = (struct fs_option){"userxattr", NULL};
  unsigned attributes = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOATIME;
  if (kind == OVERLAY_READ_ONLY) attributes |= MOUNT_ATTR_RDONLY;
  return fs_make("overlay", options, attributes, failure, STEP);
}
