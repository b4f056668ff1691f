/* Tells a tree that is hostile as an archive, within its own root directory (confine.c). It was written by a build:
 * names, links, depths and sizes are whatever it liked. Nothing is opened but by one part of a name, through no link,
 * without waiting, and read only once it is seen to be what it was a moment before. */
#include <linux/openat2.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "toroid-archive.h"

#define STEP "export"
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
enum { EXPORTED_EXTENTS = 65536, LINKS_BYTES = 256 << 20 };

static const uint64_t BENEATH = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;

struct exporting {
  const struct export_plan *plan;
  struct export_report *report;
  struct failure *failure;
  struct links links;
  struct attributes attributes;
  struct extents extents;
  struct tar_entry entry;
  struct tar_out out;
  char path[PATH_MAX]; /* of what is being told */
};

static int cannot(struct exporting *exporting, const char *why) {
  char name[SHOWN];
  return failed(exporting->failure, STEP, "`%s` %s", shown(name, exporting->path), why);
}

static int refuse_entry(struct exporting *exporting, const char *why) {
  errno = 0;
  return cannot(exporting, why);
}

static int owner(struct exporting *exporting, uint32_t outside, uint64_t *inside) {
  *inside = outside - exporting->plan->uid_base;
  if (outside >= exporting->plan->uid_base && *inside < UID_COUNT) return 0;
  return refuse_entry(exporting, "is owned by none of the run's users");
}

/* What all kinds have. */
static int begin_entry(struct exporting *exporting, const struct stat *is, enum tar_kind kind) {
  struct tar_entry *entry = &exporting->entry;
  *entry = (struct tar_entry){.kind = kind, .mode = is->st_mode & 07777, .mtime = is->st_mtim};
  memcpy(entry->path, exporting->path, sizeof entry->path);
  if (owner(exporting, is->st_uid, &entry->uid) != 0) return -1;
  return owner(exporting, is->st_gid, &entry->gid);
}

static int put_entry(struct exporting *exporting) {
  exporting->report->files++;
  return tar_put_entry(&exporting->out, &exporting->entry, exporting->failure);
}

/* An empty file whose name says what is gone. */
static int put_mark(struct exporting *exporting, const char *dir, const char *before, const char *name) {
  struct tar_entry *entry = &exporting->entry;
  *entry = (struct tar_entry){.kind = TAR_FILE, .mode = 0600};
  int length = snprintf(entry->path, sizeof entry->path, "%s%s%s%s", dir, dir[0] == '\0' ? "" : "/", before, name);
  if (strlen(before) + strlen(name) > NAME_BYTES || length >= PATH_MAX)
    return refuse_entry(exporting, "is removed, and its name is too long to say so in a layer");
  return put_entry(exporting);
}

/* ---- files ---- */

/* A file of more holes than that is told as if it had none behind the last. */
static int find_extents(struct exporting *exporting, int fd, uint64_t size) {
  struct extents *extents = &exporting->extents;
  const char *why = NULL;
  extents->count = 0;
  uint64_t end = 0;
  while (end < size && why == NULL) {
    off_t data = lseek(fd, (off_t)end, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break; /* the rest is a hole */
    off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
    if (hole <= data) return cannot(exporting, "has no map of its contents");
    if ((uint64_t)data >= size) break;
    end = extents->count + 1 == EXPORTED_EXTENTS || (uint64_t)hole > size ? size : (uint64_t)hole;
    why = extents_add(extents, (uint64_t)data, end - (uint64_t)data);
  }
  if (why == NULL && end < size) why = extents_add(extents, size, 0);
  return why == NULL ? 0 : refuse_entry(exporting, why);
}

static int put_contents(struct exporting *exporting, int fd) {
  static char bytes[TAR_BUFFER];
  for (size_t i = 0; i < exporting->extents.count; i++) {
    uint64_t at = exporting->extents.at[i].at, left = exporting->extents.at[i].length;
    while (left > 0) {
      ssize_t got = pread(fd, bytes, left < sizeof bytes ? left : sizeof bytes, (off_t)at);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return cannot(exporting, "cannot be read");
      if (got == 0) return refuse_entry(exporting, "became shorter while it was read");
      if (tar_put_bytes(&exporting->out, bytes, (size_t)got, exporting->failure) != 0) return -1;
      exporting->report->bytes += (uint64_t)got;
      at += (uint64_t)got;
      left -= (uint64_t)got;
    }
  }
  return tar_put_padding(&exporting->out, exporting->failure);
}

static bool is_same(int fd, const struct stat *was) {
  struct stat is;
  return fstat(fd, &is) == 0 && is.st_ino == was->st_ino && is.st_dev == was->st_dev &&
         (is.st_mode & S_IFMT) == (was->st_mode & S_IFMT);
}

static int put_opened_file(struct exporting *exporting, int fd, const struct stat *is) {
  struct tar_entry *entry = &exporting->entry;
  bool opaque = false;
  if (!is_same(fd, is)) return refuse_entry(exporting, "changed while it was read");
  if (begin_entry(exporting, is, TAR_FILE) != 0) return -1;
  const char *why = attributes_read(&exporting->attributes, fd, entry, exporting->plan->uid_base, &opaque);
  if (why != NULL) return refuse_entry(exporting, why);
  if (find_extents(exporting, fd, (uint64_t)is->st_size) != 0) return -1;
  entry->size = (uint64_t)is->st_size;
  entry->extents = exporting->extents.at;
  entry->extent_count = exporting->extents.count;
  return put_entry(exporting) == 0 ? put_contents(exporting, fd) : -1;
}

static int put_file(struct exporting *exporting, int dir, const char *name, const struct stat *is) {
  int fd = sys_openat2(dir, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, BENEATH);
  if (fd < 0) return cannot(exporting, "cannot be opened");
  int result = put_opened_file(exporting, fd, is);
  close(fd);
  return result;
}

static int put_symlink(struct exporting *exporting, int dir, const char *name, const struct stat *is) {
  if (begin_entry(exporting, is, TAR_SYMLINK) != 0) return -1;
  char *link = exporting->entry.link;
  ssize_t length = readlinkat(dir, name, link, sizeof exporting->entry.link);
  if (length <= 0 || length == sizeof exporting->entry.link) return cannot(exporting, "is a link that cannot be read");
  link[length] = '\0';
  return put_entry(exporting);
}

static int put_node(struct exporting *exporting, int dir, const char *name, const struct stat *is) {
  const char *first = is->st_nlink > 1 ? links_find(&exporting->links, is->st_ino) : NULL;
  if (first != NULL) {
    if (begin_entry(exporting, is, TAR_HARD_LINK) != 0) return -1;
    snprintf(exporting->entry.link, sizeof exporting->entry.link, "%s", first);
    return put_entry(exporting);
  }
  if (is->st_nlink > 1 && links_add(&exporting->links, is->st_ino, exporting->path, LINKS_BYTES) != 0)
    return refuse_entry(exporting, "is one hard link too many to remember");
  if (S_ISREG(is->st_mode)) return put_file(exporting, dir, name, is);
  if (S_ISLNK(is->st_mode)) return put_symlink(exporting, dir, name, is);
  return begin_entry(exporting, is, TAR_FIFO) == 0 ? put_entry(exporting) : -1;
}

/* ---- directories ---- */

static int put_directory(struct exporting *exporting, int dir, const struct stat *is);

static int put(struct exporting *exporting, int dir, const char *name, size_t length) {
  struct stat is;
  bool is_device = false;
  if (fstatat(dir, name, &is, AT_SYMLINK_NOFOLLOW) != 0) return cannot(exporting, "cannot be looked at");
  is_device = S_ISCHR(is.st_mode) || S_ISBLK(is.st_mode);
  if (S_ISCHR(is.st_mode) && is.st_rdev == makedev(0, 0)) {
    char around[PATH_MAX];
    snprintf(around, sizeof around, "%.*s", (int)length, exporting->path);
    return put_mark(exporting, around, WHITEOUT, name);
  }
  exporting->report->devices += is_device;
  exporting->report->sockets += S_ISSOCK(is.st_mode);
  if (is_device || S_ISSOCK(is.st_mode)) return 0;
  if (strncmp(name, WHITEOUT, sizeof WHITEOUT - 1) == 0) {
    exporting->report->names++;
    return 0;
  }
  if (!S_ISDIR(is.st_mode)) return put_node(exporting, dir, name, &is);
  int inner = sys_openat2(dir, name, O_RDONLY | O_DIRECTORY, BENEATH);
  if (inner < 0) return cannot(exporting, "cannot be opened");
  int result =
      is_same(inner, &is) ? put_directory(exporting, inner, &is) : refuse_entry(exporting, "changed while it was read");
  close(inner);
  return result;
}

static int put_below(struct exporting *exporting, int dir, const struct names *names) {
  size_t length = strlen(exporting->path);
  int result = 0;
  for (size_t i = 0; result == 0 && i < names->count; i++) {
    const char *name = names->at[i];
    size_t room = sizeof exporting->path - length;
    int used = snprintf(exporting->path + length, room, "%s%s", length == 0 ? "" : "/", name);
    result = used < (int)room ? put(exporting, dir, name, length)
                              : refuse_entry(exporting, "is a path of more than 4095 bytes");
    exporting->path[length] = '\0';
  }
  return result;
}

/* One descriptor a level. */
static int put_directory(struct exporting *exporting, int dir, const struct stat *is) {
  struct names names = {0};
  bool opaque = false;
  if (begin_entry(exporting, is, TAR_DIRECTORY) != 0) return -1;
  const char *why = attributes_read(&exporting->attributes, dir, &exporting->entry, exporting->plan->uid_base, &opaque);
  if (why != NULL) return refuse_entry(exporting, why);
  if (put_entry(exporting) != 0) return -1;
  if (opaque && put_mark(exporting, exporting->path, "", OPAQUE) != 0) return -1;
  uint64_t left =
      exporting->plan->max_files -
      (exporting->report->files < exporting->plan->max_files ? exporting->report->files : exporting->plan->max_files);
  int result = names_read(&names, dir, left);
  if (result != 0 && errno == ENOBUFS)
    result = refuse_entry(exporting, "has more files than --max-files lets out");
  else if (result != 0)
    result = cannot(exporting, "cannot be read");
  else
    result = put_below(exporting, dir, &names);
  names_free(&names);
  return result;
}

int export_tree(const void *plan, int stream, void *report, struct failure *failure) {
  struct exporting *exporting = calloc(1, sizeof *exporting);
  struct stat root;
  int dir = sys_openat2(AT_FDCWD, ".", O_RDONLY | O_DIRECTORY, 0);
  if (exporting == NULL || dir < 0 || fstat(dir, &root) != 0) {
    free(exporting);
    return failed(failure, STEP, "cannot begin");
  }
  exporting->plan = plan;
  exporting->report = report;
  exporting->failure = failure;
  exporting->out.fd = stream;
  exporting->out.most = exporting->plan->max_bytes;
  int result = put_directory(exporting, dir, &root);
  if (result == 0) result = tar_put_end(&exporting->out, failure);
  links_free(&exporting->links);
  free(exporting->extents.at);
  free(exporting);
  close(dir);
  return result;
}
