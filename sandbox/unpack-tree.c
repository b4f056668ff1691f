/* Makes a tree from an archive that is hostile, within its own root directory (confine.c) and all the same as if that
 * were no wall: nothing is opened by a path but beneath the tree's root and through no link, and everything is made
 * anew under a name that is one part of a path. */
#include <linux/openat2.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "toroid-archive.h"

#define STEP "unpack"
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

static const uint64_t BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

struct tree {
  const struct unpack_plan *plan;
  struct unpack_report *report;
  struct failure *failure;
  struct directories directories;
  int root;
  int parent; /* of the last entry, which is often that of the next one; -1 */
  char parent_path[PATH_MAX];
};

/* What is being made, and where. */
struct place {
  const struct tar_entry *entry;
  int parent;
  const char *leaf;
};

static int cannot(struct tree *tree, const char *path, const char *why) {
  char name[SHOWN];
  return failed(tree->failure, STEP, "`%s` %s", shown(name, path), why);
}

static int refuse_entry(struct tree *tree, const char *path, const char *why) {
  errno = 0;
  return cannot(tree, path, why);
}

/* ---- the caps ---- */

static int count_file(struct tree *tree, const char *path) {
  if (++tree->report->files <= tree->plan->max_files) return 0;
  return refuse_entry(tree, path, "is one more file than --max-files lets in");
}

static int count_bytes(struct tree *tree, const char *path, uint64_t from, uint64_t to) {
  uint64_t on_disk = to == from ? 0 : (to - 1) / DISK_BLOCK * DISK_BLOCK - from / DISK_BLOCK * DISK_BLOCK + DISK_BLOCK;
  if (on_disk <= tree->plan->max_bytes - tree->report->bytes) {
    tree->report->bytes += on_disk;
    return 0;
  }
  return refuse_entry(tree, path, "brings more bytes than --max-bytes lets in");
}

/* ---- directories on the way ---- */

static void forget_parent(struct tree *tree) {
  if (tree->parent >= 0) close(tree->parent);
  tree->parent = -1;
}

static bool is_whiteout(const struct stat *is) {
  return S_ISCHR(is->st_mode) && is->st_rdev == makedev(0, 0);
}

static int set_opaque(struct tree *tree, int dir, const char *path) {
  if (fsetxattr(dir, opaque_attribute(tree->plan->rootless), "y", 1, 0) == 0) return 0;
  return cannot(tree, path, "cannot be marked as opaque");
}

/* A new one, open; what it is to look like may come later. Where this layer removed something, what that had in it
 * must not shine through. */
static int make_directory(struct tree *tree, int parent, const char *leaf, const char *path) {
  struct stat is;
  bool replaced = fstatat(parent, leaf, &is, AT_SYMLINK_NOFOLLOW) == 0 && is_whiteout(&is);
  if (count_file(tree, path) != 0 || count_bytes(tree, path, 0, 1) != 0) return -1;
  if (replaced && unlinkat(parent, leaf, 0) != 0) return cannot(tree, path, "cannot be replaced");
  if (mkdirat(parent, leaf, 0755) != 0) return cannot(tree, path, "cannot be made");
  int dir = sys_openat2(parent, leaf, O_RDONLY | O_DIRECTORY, BENEATH);
  if (dir < 0 || fstat(dir, &is) != 0) {
    if (dir >= 0) close(dir);
    return cannot(tree, path, "cannot be opened");
  }
  const struct timespec never = {0};
  int result = directories_put(&tree->directories, is.st_ino, never);
  if (result != 0) (void)cannot(tree, path, "cannot be noted");
  /* the directory around it may hand its group on */
  if (result == 0 && (fchown(dir, 0, 0) != 0 || fchmod(dir, 0755) != 0))
    result = cannot(tree, path, "cannot be given its owner");
  if (result == 0 && replaced) result = set_opaque(tree, dir, path);
  if (result == 0) return dir;
  close(dir);
  return -1;
}

/* The directory `leaf` as it is, or -1 with errno. */
static int open_directory(int parent, const char *leaf) {
  return sys_openat2(parent, leaf, O_RDONLY | O_DIRECTORY, BENEATH);
}

/* One part after the other; what is missing is made. */
static int make_way(struct tree *tree, const char *path) {
  char sofar[PATH_MAX];
  int dir = open_directory(tree->root, ".");
  for (const char *part = path; dir >= 0 && *part != '\0';) {
    size_t length = strcspn(part, "/");
    char leaf[NAME_BYTES + 1];
    snprintf(leaf, sizeof leaf, "%.*s", (int)length, part);
    snprintf(sofar, sizeof sofar, "%.*s", (int)(part - path + (ptrdiff_t)length), path);
    struct stat is;
    int inner = open_directory(dir, leaf);
    if (inner < 0 && (errno == ENOENT || (fstatat(dir, leaf, &is, AT_SYMLINK_NOFOLLOW) == 0 && is_whiteout(&is))))
      inner = make_directory(tree, dir, leaf, sofar);
    else if (inner < 0)
      (void)refuse_entry(tree, sofar, "is no directory, and the archive puts something below it");
    close(dir);
    dir = inner;
    part += length + (part[length] == '/');
  }
  return dir;
}

/* The directory that `path` is in, open for as long as the next entry is in it too, and its last part. */
static int open_parent(struct tree *tree, const char *path, const char **leaf) {
  const char *slash = strrchr(path, '/');
  char parent[PATH_MAX];
  snprintf(parent, sizeof parent, "%.*s", slash == NULL ? 0 : (int)(slash - path), path);
  *leaf = slash == NULL ? path : slash + 1;
  if (tree->parent >= 0 && strcmp(tree->parent_path, parent) == 0) return tree->parent;
  forget_parent(tree);
  tree->parent = sys_openat2(tree->root, parent[0] == '\0' ? "." : parent, O_RDONLY | O_DIRECTORY, BENEATH);
  if (tree->parent < 0) tree->parent = make_way(tree, parent);
  if (tree->parent < 0) return failed(tree->failure, STEP, "`%s` cannot be reached", parent);
  memcpy(tree->parent_path, parent, sizeof parent);
  return tree->parent;
}

/* ---- what an entry looks like ---- */

static uint32_t owner(struct tree *tree, uint64_t id) {
  const uint64_t count = tree->plan->rootless ? tree->plan->uid_count : UID_COUNT;
  if (id < count) return (uint32_t)id;
  tree->report->owners_to_nobody++; /* as it would be shown inside anyway, but so it can be changed there */
  return NOBODY < count ? NOBODY : 0;
}

/* As the kernel has it in a file system of the host: version 2, which is root's. A version 3 is of a user namespace. */
static bool is_capability(const struct xattr *xattr) {
  uint32_t magic;
  if (xattr->length != 20) return false;
  memcpy(&magic, xattr->value, sizeof magic);
  return (magic & 0xff000000u) == 0x02000000u;
}

static int set_xattrs(struct tree *tree, const struct tar_entry *entry, int fd) {
  for (size_t i = 0; i < entry->xattr_count; i++) {
    const struct xattr *xattr = &entry->xattrs[i];
    bool capability = strcmp(xattr->name, "security.capability") == 0;
    if (capability && (entry->kind != TAR_FILE || !is_capability(xattr)))
      return refuse_entry(tree, entry->path, "has capabilities of a form that is not taken");
    if (fsetxattr(fd, xattr->name, xattr->value, xattr->length, 0) != 0)
      return cannot(tree, entry->path, "cannot be given its extended attributes");
  }
  return 0;
}

/* In this order: a new owner takes capabilities and set-user-id away, and writing them changes the time. */
static int dress(struct tree *tree, const struct tar_entry *entry, int fd) {
  const struct timespec times[] = {entry->mtime, entry->mtime};
  if (fchown(fd, owner(tree, entry->uid), owner(tree, entry->gid)) != 0)
    return cannot(tree, entry->path, "cannot be given its owner");
  if (set_xattrs(tree, entry, fd) != 0) return -1;
  if (fchmod(fd, entry->mode) != 0) return cannot(tree, entry->path, "cannot be given its mode");
  return futimens(fd, times) == 0 ? 0 : cannot(tree, entry->path, "cannot be given its time");
}

/* What cannot be opened. */
static int dress_node(struct tree *tree, const struct place *place) {
  const struct tar_entry *entry = place->entry;
  const struct timespec times[] = {entry->mtime, entry->mtime};
  if (fchownat(place->parent, place->leaf, owner(tree, entry->uid), owner(tree, entry->gid), AT_SYMLINK_NOFOLLOW) != 0)
    return cannot(tree, entry->path, "cannot be given its owner");
  if (entry->kind == TAR_FIFO && fchmodat(place->parent, place->leaf, entry->mode & 01777, 0) != 0)
    return cannot(tree, entry->path, "cannot be given its mode");
  if (utimensat(place->parent, place->leaf, times, AT_SYMLINK_NOFOLLOW) == 0) return 0;
  return cannot(tree, entry->path, "cannot be given its time");
}

/* ---- entries ---- */

/* The last entry of a name counts, so the one before makes room. */
static int make_room(const struct place *place) {
  struct stat is;
  if (fstatat(place->parent, place->leaf, &is, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
  if (!S_ISDIR(is.st_mode)) return unlinkat(place->parent, place->leaf, 0);
  return tree_remove(place->parent, place->leaf);
}

static int write_contents(struct tree *tree, const struct tar_entry *entry, struct tar *tar, int fd) {
  const char *bytes;
  size_t length;
  uint64_t at;
  int more;
  for (size_t i = 0; i < entry->extent_count; i++) {
    const struct extent *extent = &entry->extents[i];
    if (count_bytes(tree, entry->path, extent->at, extent->at + extent->length) != 0) return -1;
  }
  while ((more = tar_data(tar, &bytes, &length, &at, tree->failure)) == 1) {
    while (length > 0) {
      ssize_t wrote = pwrite(fd, bytes, length, (off_t)at);
      if (wrote < 0) return cannot(tree, entry->path, "cannot be written");
      bytes += wrote;
      length -= (size_t)wrote;
      at += (uint64_t)wrote;
    }
  }
  if (more < 0) return -1;
  return ftruncate(fd, (off_t)entry->size) == 0 ? 0 : cannot(tree, entry->path, "cannot be made so long");
}

static int put_file(struct tree *tree, const struct place *place, struct tar *tar) {
  const struct tar_entry *entry = place->entry;
  int fd = sys_openat2(place->parent, place->leaf, O_WRONLY | O_CREAT | O_EXCL, BENEATH);
  if (fd < 0) return cannot(tree, entry->path, "cannot be made");
  int result = write_contents(tree, entry, tar, fd);
  if (result == 0) result = dress(tree, entry, fd);
  close(fd);
  return result;
}

static int put_directory(struct tree *tree, const struct place *place) {
  const struct tar_entry *entry = place->entry;
  struct stat is;
  int dir = open_directory(place->parent, place->leaf);
  bool other = dir < 0 && fstatat(place->parent, place->leaf, &is, AT_SYMLINK_NOFOLLOW) == 0 && !is_whiteout(&is);
  if (other && make_room(place) != 0) return cannot(tree, entry->path, "cannot be replaced");
  if (dir < 0) dir = make_directory(tree, place->parent, place->leaf, entry->path);
  if (dir < 0) return -1;
  int result = fstat(dir, &is) == 0 ? dress(tree, entry, dir) : cannot(tree, entry->path, "cannot be looked at");
  if (result == 0 && directories_put(&tree->directories, is.st_ino, entry->mtime) != 0)
    result = cannot(tree, entry->path, "cannot be noted");
  close(dir);
  return result;
}

/* What it links to has come before, and is one of those that a name can be given to. */
static int put_hard_link(struct tree *tree, const struct place *place) {
  const struct tar_entry *entry = place->entry;
  const char *slash = strrchr(entry->link, '/'), *leaf = slash == NULL ? entry->link : slash + 1;
  char parent[PATH_MAX];
  struct stat target, here;
  snprintf(parent, sizeof parent, "%.*s", slash == NULL ? 0 : (int)(slash - entry->link), entry->link);
  int dir = sys_openat2(tree->root, parent[0] == '\0' ? "." : parent, O_PATH | O_DIRECTORY, BENEATH);
  int found = dir < 0 || leaf[0] == '\0' ? -1 : fstatat(dir, leaf, &target, AT_SYMLINK_NOFOLLOW);
  int result = -1;
  if (found != 0 || is_whiteout(&target))
    (void)refuse_entry(tree, entry->path, "is a hard link to what the archive has not brought");
  else if (S_ISDIR(target.st_mode))
    (void)refuse_entry(tree, entry->path, "is a hard link to a directory");
  else if (fstatat(place->parent, place->leaf, &here, AT_SYMLINK_NOFOLLOW) == 0 && here.st_ino == target.st_ino)
    result = 0; /* it is that already */
  else if (make_room(place) != 0 || linkat(dir, leaf, place->parent, place->leaf, 0) != 0)
    (void)cannot(tree, entry->path, "cannot be linked");
  else
    result = 0;
  if (dir >= 0) close(dir);
  return result;
}

static int put_node(struct tree *tree, const struct place *place) {
  const struct tar_entry *entry = place->entry;
  int made = entry->kind == TAR_SYMLINK ? symlinkat(entry->link, place->parent, place->leaf)
                                        : mknodat(place->parent, place->leaf, S_IFIFO, 0);
  return made == 0 ? dress_node(tree, place) : cannot(tree, entry->path, "cannot be made");
}

/* A sandbox has a /dev of its own, so those that archives of whole systems bring are no loss. */
static int leave_device_out(struct tree *tree, const struct tar_entry *entry) {
  if (strncmp(entry->path, "dev/", 4) != 0) return refuse_entry(tree, entry->path, "is a device outside of /dev");
  tree->report->devices_left_out++;
  return 0;
}

/* ---- whiteouts ---- */

/* A whiteout says what of the layers below is gone; what the same layer brings stays, whichever comes first. */
static int put_whiteout(struct tree *tree, const struct place *place, const char *name) {
  struct stat is;
  if (mknodat(place->parent, name, S_IFCHR, makedev(0, 0)) == 0) return 0;
  if (errno != EEXIST || fstatat(place->parent, name, &is, AT_SYMLINK_NOFOLLOW) != 0)
    return cannot(tree, place->entry->path, "cannot be made a whiteout");
  if (!S_ISDIR(is.st_mode)) return 0;
  int dir = open_directory(place->parent, name);
  int result = dir < 0 ? cannot(tree, place->entry->path, "cannot be opened") : set_opaque(tree, dir, name);
  if (dir >= 0) close(dir);
  return result;
}

static int put_mark(struct tree *tree, const struct place *place) {
  const char *path = place->entry->path, *name = place->leaf + sizeof WHITEOUT - 1;
  enum tar_kind kind = place->entry->kind;
  if ((kind != TAR_FILE || place->entry->size != 0) && kind != TAR_HARD_LINK)
    return refuse_entry(tree, path, "has the name of a whiteout and is no empty file");
  if (strcmp(place->leaf, OPAQUE) == 0) {
    /* overlay always shows what is below the root of a layer */
    if (path == place->leaf) return refuse_entry(tree, path, "hides all layers below: use this one without them");
    return set_opaque(tree, place->parent, path);
  }
  if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strncmp(name, WHITEOUT, 4) == 0)
    return refuse_entry(tree, path, "is a whiteout of nothing");
  return put_whiteout(tree, place, name);
}

static bool is_below_mark(const char *path) {
  for (const char *slash; (slash = strchr(path, '/')) != NULL; path = slash + 1) {
    if (strncmp(path, WHITEOUT, 4) == 0) return true;
  }
  return false;
}

/* ---- the whole ---- */

static int put(struct tree *tree, struct tar *tar) {
  const struct tar_entry *entry = &tar->entry;
  struct place place = {.entry = entry, .parent = tree->root, .leaf = "."};
  if (entry->path[0] == '\0') {
    if (entry->kind == TAR_DIRECTORY) return put_directory(tree, &place);
    return refuse_entry(tree, "/", "is no directory in this archive");
  }
  if (entry->kind == TAR_DEVICE) return count_file(tree, entry->path) == 0 ? leave_device_out(tree, entry) : -1;
  if (tree->plan->is_layer && is_below_mark(entry->path))
    return refuse_entry(tree, entry->path, "is below what has the name of a whiteout");
  place.parent = open_parent(tree, entry->path, &place.leaf);
  if (place.parent < 0) return -1;
  bool is_mark = tree->plan->is_layer && strncmp(place.leaf, WHITEOUT, 4) == 0;
  if (entry->kind == TAR_DIRECTORY && !is_mark) return put_directory(tree, &place);
  if (count_file(tree, entry->path) != 0) return -1;
  if (is_mark) return put_mark(tree, &place);
  if (entry->kind == TAR_HARD_LINK) return put_hard_link(tree, &place);
  if (make_room(&place) != 0) return cannot(tree, entry->path, "cannot be replaced");
  return entry->kind == TAR_FILE ? put_file(tree, &place, tar) : put_node(tree, &place);
}

static ssize_t read_stream(void *stream, void *into, size_t room) {
  return read(*(int *)stream, into, room);
}

/* What an archive of that much may take, headers and all. */
static uint64_t longest(const struct unpack_plan *plan) {
  uint64_t headers, all;
  if (__builtin_mul_overflow(plan->max_files, 8192u, &headers) ||
      __builtin_add_overflow(headers, plan->max_bytes, &all) || __builtin_add_overflow(all, 64u << 20, &all))
    return UINT64_MAX;
  return all;
}

int unpack_tree(const void *plan, int stream, void *report, struct failure *failure) {
  struct tree tree = {.plan = plan, .report = report, .failure = failure, .parent = -1};
  struct tar *tar = tar_open(read_stream, &stream, longest(plan));
  tree.root = sys_openat2(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0);
  struct stat root;
  const struct timespec never = {0};
  if (tar == NULL || tree.root < 0 || fstat(tree.root, &root) != 0 ||
      directories_put(&tree.directories, root.st_ino, never) != 0)
    return failed(failure, STEP, "cannot begin");
  int more;
  while ((more = tar_next(tar, failure)) == 1) {
    if (put(&tree, tar) != 0) more = -1;
    if (more < 0) break;
  }
  forget_parent(&tree);
  int result = more < 0 ? -1 : directories_settle(&tree.directories, tree.root, failure);
  close(tree.root);
  free(tree.directories.at);
  tar_close(tar);
  return result;
}
