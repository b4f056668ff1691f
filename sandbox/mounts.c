/* Mounts as descriptors: made first, attached later, never named by a path that a build could have moved. */
#include <linux/mount.h>
#include <linux/openat2.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "disk.h"

/* The kernel explains a refused option on the context's own descriptor, one line a read: "e overlay: …". */
static void kernels_words(int fs, char *into, size_t room) {
  into[0] = '\0';
  char line[256];
  for (ssize_t got; (got = read(fs, line, sizeof line - 1)) > 0;) {
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (line[0] == 'e') snprintf(into, room, ", the kernel says `%.180s`", line + 2);
  }
}

int fs_make(const char *type, const struct fs_option *options, unsigned attributes, struct failure *failure,
            const char *step) {
  char words[224] = "";
  int fs = sys_fsopen(type);
  if (fs < 0) return failed(failure, step, "this kernel does not open a %s", type);
  for (const struct fs_option *option = options; option->key != NULL; option++) {
    unsigned how = option->value == NULL ? FSCONFIG_SET_FLAG : FSCONFIG_SET_STRING;
    if (sys_fsconfig(fs, how, option->key, option->value) == 0) continue;
    int error = errno;
    kernels_words(fs, words, sizeof words);
    close(fs);
    errno = error;
    return failed(failure, step, "%s does not take %s=%s%s", type, option->key, option->value, words);
  }
  int mount = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL) == 0 ? sys_fsmount(fs, attributes) : -1;
  int error = errno;
  if (mount < 0) kernels_words(fs, words, sizeof words);
  close(fs);
  errno = error;
  if (mount < 0) return failed(failure, step, "%s cannot be mounted%s", type, words);
  return mount;
}

int plain_directory(int root, const char *name, struct failure *failure, const char *step) {
  const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  int fd = sys_openat2(root, name, O_PATH | O_DIRECTORY, resolve);
  if (fd < 0 && errno == ENOENT && mkdirat(root, name, 0755) == 0)
    fd = sys_openat2(root, name, O_PATH | O_DIRECTORY, resolve);
  if (fd < 0) return failed(failure, step, "/%s of the image must be a plain directory", name);
  return fd;
}

int path_in_root(int root, const char *path, bool directory, struct failure *failure, const char *step) {
  const uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  char part[4096];
  int parent = -1, fd = -1;
  for (const char *end = path; fd < 0 || *end != '\0';) {
    end += strspn(end, "/");
    if (*end == '\0') break;
    const char *name = end;
    end += strcspn(end, "/");
    bool last = end[strspn(end, "/")] == '\0';
    snprintf(part, sizeof part, "%.*s", (int)(end - path), path);
    if (parent >= 0) close(parent);
    parent = fd >= 0 ? fd : dup(root);
    fd = sys_openat2(root, part, O_PATH, resolve);
    if (fd < 0 && errno == ENOENT) {
      char leaf[256];
      snprintf(leaf, sizeof leaf, "%.*s", (int)(end - name), name);
      int made = -1;
      if (!last || directory)
        made = mkdirat(parent, leaf, 0755);
      else if ((made = openat(parent, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644)) >= 0)
        close(made);
      if (made >= 0) fd = sys_openat2(root, part, O_PATH, resolve);
    }
    if (fd < 0) {
      int error = errno;
      if (parent >= 0) close(parent);
      errno = error;
      return failed(failure, step, "cannot make %s of %s in the new root", part, path);
    }
  }
  if (parent >= 0) close(parent);
  return fd;
}

const char *why_not_cloned(int userns) {
  return userns < 0 && errno == EINVAL ? ", for mounts of root's lie below it" : "";
}

struct mount_attr mapped_by(int userns) {
  if (userns < 0) return (struct mount_attr){0};
  return (struct mount_attr){.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)userns};
}

/* Before its owners are mapped, for then not all of it would be ours. */
static int count_bind(int mount, const struct scratch *scratch, struct failure *failure) {
  char path[32];
  struct stat root;
  if (scratch->project == 0 || fstat(mount, &root) != 0 || root.st_dev != scratch->device) return 0;
  snprintf(path, sizeof path, "/proc/self/fd/%d", mount);
  int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return fd < 0 ? failed(failure, "disk", "cannot open what is bound") : quota_give_tree(fd, scratch->project, failure);
}

/* Root outside is root inside (or whoever --bind-owner names): what it owns is owned by uid 0 inside, both ways. */
int bind_open(const struct op *op, int userns, const struct scratch *scratch, struct failure *failure) {
  int fd = op->source_fd > 0 ? sys_open_tree(op->source_fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH)
                             : sys_open_tree(AT_FDCWD, op->source, OPEN_TREE_CLONE);
  if (fd < 0) return failed(failure, "bind", "cannot open %s%s", op->source, why_not_cloned(userns));
  if (op->counted && count_bind(fd, scratch, failure) != 0) {
    close(fd);
    return -1;
  }
  struct mount_attr attr = mapped_by(userns);
  attr.attr_set |= MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (op->read_only ? MOUNT_ATTR_RDONLY : 0);
  if (sys_mount_setattr(fd, "", AT_EMPTY_PATH, &attr) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return failed(failure, "bind", "%s cannot be shown with its owners mapped", op->source);
}

static const struct {
  const char *name;
  unsigned major, minor;
} NODES[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};

/* /dev, made with the host's privileges: a file system made inside a user namespace has no working devices. */
int dev_make(uint64_t uid_base, bool with_nodes, struct failure *failure) {
  static const char *const LINKS[][2] = {{"fd", "/proc/self/fd"},
                                         {"stdin", "/proc/self/fd/0"},
                                         {"stdout", "/proc/self/fd/1"},
                                         {"stderr", "/proc/self/fd/2"},
                                         {"ptmx", "pts/ptmx"}};
  char owner[24];
  snprintf(owner, sizeof owner, "%llu", (unsigned long long)uid_base);
  const struct fs_option options[] = {{"source", "dev"}, {"mode", "0755"}, {"size", "65536"}, {"nr_inodes", "64"},
                                      {"uid", owner},    {"gid", owner},   {NULL, NULL}};
  int dev = fs_make("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NOATIME, failure, "dev");
  if (dev < 0) return -1;
  for (size_t i = 0; i < sizeof NODES / sizeof NODES[0]; i++) {
    dev_t node = with_nodes ? makedev(NODES[i].major, NODES[i].minor) : 0;
    if (mknodat(dev, NODES[i].name, (with_nodes ? S_IFCHR : S_IFREG) | 0666, node) != 0 ||
        fchownat(dev, NODES[i].name, (uid_t)uid_base, (gid_t)uid_base, AT_SYMLINK_NOFOLLOW) != 0)
      return failed(failure, "dev", "cannot make /dev/%s", NODES[i].name);
  }
  for (size_t i = 0; i < sizeof LINKS / sizeof LINKS[0]; i++) {
    if (symlinkat(LINKS[i][1], dev, LINKS[i][0]) != 0)
      return failed(failure, "dev", "cannot make /dev/%s", LINKS[i][0]);
  }
  if (mkdirat(dev, "pts", 0755) != 0 || mkdirat(dev, "shm", 0755) != 0)
    return failed(failure, "dev", "cannot make /dev/pts and /dev/shm");
  return dev;
}

int dev_bind(int dev, struct failure *failure) {
  char path[16];
  for (size_t i = 0; i < sizeof NODES / sizeof NODES[0]; i++) {
    snprintf(path, sizeof path, "/dev/%s", NODES[i].name);
    int node = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE);
    if (node < 0 || sys_move_mount(node, "", dev, NODES[i].name, MOVE_MOUNT_F_EMPTY_PATH) != 0)
      return failed(failure, "dev", "cannot show the host's %s", path);
    close(node);
  }
  return 0;
}
