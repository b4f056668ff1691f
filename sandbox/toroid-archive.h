/* Archives of root file systems: `unpack` reads them, `export` writes them.
 *
 * An archive is hostile, and so is the tree that `export` reads. tar-*.c know the format and touch no file system;
 * unpack-tree.c and export-tree.c touch one and run in a process of their own (confine.c) that can do little else. */
#ifndef TOROID_ARCHIVE_H
#define TOROID_ARCHIVE_H

#include <limits.h>
#include <time.h>

#include "toroid-sandbox.h"

enum {
  TAR_BLOCK = 512,
  TAR_BUFFER = 128 * TAR_BLOCK,
  MAX_PAX_BYTES = 1 << 20, /* of one entry's extended header */
  MAX_EXTENTS = 1 << 20,   /* of one sparse file */
  MAX_XATTRS = 64,
  NAME_BYTES = 255, /* of one part of a path */
  DISK_BLOCK = 4096,
  NOBODY = 65534,
};

#define DEFAULT_ARCHIVE_BYTES (64ull << 30)
#define DEFAULT_ARCHIVE_FILES 4000000ull

/* For messages: printable, not too long, on one line whatever a name holds. */
enum { SHOWN = 200 };
const char *shown(char into[SHOWN], const char *name);

/* ---- the format: tar-fields.c, tar-sparse.c, tar-read.c, tar-write.c ---- */

enum tar_kind { TAR_FILE, TAR_HARD_LINK, TAR_SYMLINK, TAR_DIRECTORY, TAR_FIFO, TAR_DEVICE };

/* Where contents lie in the file; what is between is a hole. */
struct extent {
  uint64_t at, length;
};

struct xattr {
  const char *name; /* ends in NUL */
  const void *value;
  size_t length;
};

struct tar_entry {
  enum tar_kind kind;
  char path[PATH_MAX]; /* clean: no leading, doubled or trailing slash, no `.`, no `..`; "" is the root */
  char link[PATH_MAX]; /* of a hard link: clean; of a symbolic link: as it is */
  uint32_t mode;       /* 07777 at most */
  uint64_t uid, gid;
  struct timespec mtime;
  uint64_t size; /* of the file, holes and all */
  const struct extent *extents;
  size_t extent_count;
  struct xattr xattrs[MAX_XATTRS];
  size_t xattr_count;
};

/* The header block, as POSIX has it; GNU keeps other things where the prefix is. */
struct tar_header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2],
      uname[32], gname[32], major[8], minor[8], prefix[155], rest[12];
};

bool tar_checksum_is_right(const struct tar_header *header);
void tar_set_checksum(struct tar_header *header);
/* Octal digits with spaces and NULs around, or GNU's base 256. */
bool tar_number(const char *field, size_t length, int64_t *into);
/* NULL, or what is wrong with it: the rest of a sentence that starts with the name. */
const char *clean_path(const char *raw, size_t length, char into[PATH_MAX]);

enum pax_key {
  PAX_PATH,
  PAX_LINKPATH,
  PAX_SIZE,
  PAX_UID,
  PAX_GID,
  PAX_MTIME,
  PAX_SPARSE_MAJOR,
  PAX_SPARSE_MINOR,
  PAX_SPARSE_NAME,
  PAX_SPARSE_SIZE,
  PAX_KEYS
};

struct pax_value {
  const char *at; /* NULL: not given */
  size_t length;
};

struct pax {
  struct pax_value values[PAX_KEYS];
  struct xattr xattrs[MAX_XATTRS];
  size_t xattr_count;
};

/* Reads records into `pax`, which points into `text` afterwards; `text` is changed: a NUL after each key and value.
 * NULL, or what is wrong with it. */
const char *pax_parse(char *text, size_t length, struct pax *pax);
/* Overlay's own attributes would be orders to the kernel, those of labels and access lists are another host's. */
bool is_kept_xattr(const char *name);
bool pax_number(const struct pax_value *value, int64_t *into);
bool pax_time(const struct pax_value *value, struct timespec *into);

struct extents {
  struct extent *at;
  size_t count, room;
};
/* In the order of the file, none over another. NULL, or what is wrong. */
const char *extents_add(struct extents *extents, uint64_t at, uint64_t length);

/* A stream of headers and contents; memory is bounded whatever it says. */
struct tar {
  ssize_t (*read)(void *from, void *into, size_t room); /* as read(2) */
  void *from;
  uint64_t most, got;     /* how long the archive may be; how much of it has been read */
  uint64_t left, padding; /* of the entry's contents in the archive */
  struct extents extents;
  size_t extent; /* the one that is being read, and how much of it has been */
  uint64_t in_extent;
  char *pax_text;
  struct tar_entry entry;
  size_t at, used; /* in the buffer */
  char buffer[TAR_BUFFER];
};

/* NULL when there is no memory. */
struct tar *tar_open(ssize_t (*reader)(void *from, void *into, size_t room), void *from, uint64_t most);
void tar_close(struct tar *tar);
/* 1: `tar->entry` is the next one; 0: the archive has ended as it should; -1. What was not read of the last entry's
 * contents is passed over. */
int tar_next(struct tar *tar, struct failure *failure);
/* The next piece of the entry's contents and where in the file it goes. 1, or 0 at the end, or -1. */
int tar_data(struct tar *tar, const char **bytes, size_t *length, uint64_t *at, struct failure *failure);

/* Between the parts of the reader: a sentence, or NULL, or "" when `failure` has one. */
int tar_block(struct tar *tar, const char **block, struct failure *failure);
const char *sparse_old(struct tar *tar, const char *header, int64_t *size, struct failure *failure);
const char *sparse_1_0(struct tar *tar, struct failure *failure);

struct tar_out {
  int fd;
  uint64_t most, written;
  size_t used; /* of the buffer */
  char buffer[TAR_BUFFER];
};

/* The header; the bytes of the entry's extents are to follow, one after the other, then the padding. */
int tar_put_entry(struct tar_out *out, const struct tar_entry *entry, struct failure *failure);
int tar_put_bytes(struct tar_out *out, const char *bytes, size_t length, struct failure *failure);
int tar_put_padding(struct tar_out *out, struct failure *failure);
int tar_put_end(struct tar_out *out, struct failure *failure);

/* ---- a process of its own for what is hostile: confine.c ---- */

/* `work` sees `root` as its root directory and one stream, and may call what makes, reads and writes files alone. */
struct job {
  const char *step; /* for the sentence of a failure */
  int root, stream; /* stream: what it reads its archive from, or writes it to */
  uint64_t capabilities;
  int cancel; /* it is ended when this can be read; -1: never */
  int (*work)(const void *plan, int stream, void *result, struct failure *failure);
  const void *plan;
  void *result;
  size_t result_bytes; /* comes back as it is: numbers only */
};

/* Waits for its end. -1 with a sentence when it failed, was cancelled, or died; `result` is then not changed. */
int job_run(const struct job *job, struct failure *failure);

/* For the two commands: TERM, INT, HUP and QUIT as a descriptor; an option that both have; the end of a failed one. */
int watch_for_cancel(const char *step, struct failure *failure);
bool take_cap(const char *name, const char *value, uint64_t *bytes, uint64_t *files);
void print_archive_options(void);
int say_failure(const struct failure *failure);

/* ---- into a directory: unpack.c, unpack-tree.c, directories.c ---- */

struct unpack_plan {
  bool is_layer; /* `.wh.` names are whiteouts */
  uint64_t max_bytes, max_files;
  bool rootless;      /* by a user, in its user namespace */
  uint64_t uid_count; /* of that; owners beyond become nobody */
};

struct unpack_report {
  uint64_t files, bytes; /* bytes: as the disk counts them */
  uint64_t devices_left_out, owners_to_nobody;
};

/* Into `into`, which must be empty; whatever goes wrong, it is empty afterwards. Ended when `cancel` can be read. */
int unpack(const struct unpack_plan *plan, int into, int stream, int cancel, struct unpack_report *report,
           struct failure *failure);
/* Its part in the process of its own. */
int unpack_tree(const void *plan, int stream, void *report, struct failure *failure);
void json_unpacked(struct json *json, const struct unpack_report *report);
int unpack_command(int argc, char **argv);
/* The same for a client of `serve`, under `name` in the first --images: store.c. Nothing to do when that is there. */
int store_unpack(const struct serve *serve, int client, const char *path, const char *name, bool is_layer,
                 struct unpack_report *report, struct failure *failure);

/* When the directories of a tree were last changed, which they are again with each entry that is made in them. */
struct directories {
  struct directory_time {
    uint64_t inode; /* 0: free */
    struct timespec mtime;
  } * at;
  size_t count, room;
};

int directories_put(struct directories *directories, uint64_t inode, struct timespec mtime);
/* Sets the times of all directories below and including `root`. */
int directories_settle(const struct directories *directories, int root, struct failure *failure);

/* ---- what a run wrote, as a layer: export.c, export-*.c ---- */

struct export_plan {
  uint64_t uid_base; /* of the scratch */
  uint64_t max_bytes, max_files;
};

struct export_report {
  uint64_t files, bytes;
  uint64_t devices, sockets, names; /* left out; names: those that a layer takes for whiteouts */
};

/* The scratch's upper, to `stream`; `plan->uid_base` is found out. No run may be on it, nor begins one meanwhile. */
int export_scratch(struct export_plan *plan, const char *scratch, int stream, int cancel, struct export_report *report,
                   struct failure *failure);
/* Its part in the process of its own. */
int export_tree(const void *plan, int stream, void *report, struct failure *failure);
int export_command(int argc, char **argv);
void print_export_options(void);

/* The names in a directory, sorted by their bytes, "." and ".." apart. */
struct names {
  char **at;
  size_t count;
  char *text; /* one after the other, each ended by NUL */
  size_t used, room;
};
/* Answers 0, or -1 with errno; ENOBUFS when there are more than `most` of them. Free them in any case. */
int names_read(struct names *names, int dir, uint64_t most);
void names_free(struct names *names);

struct links {
  struct link_path {
    uint64_t inode;
    size_t path; /* where in `paths`; 0: free */
  } * at;
  size_t count, room;
  char *paths; /* one after the other, each ended by NUL */
  size_t bytes, paths_room;
};

/* NULL when it is the first path of that inode. */
const char *links_find(const struct links *links, uint64_t inode);
/* -1 when the paths would take more than `most` bytes. */
int links_add(struct links *links, uint64_t inode, const char *path, size_t most);
void links_free(struct links *links);

/* Of the entry that is being told. */
struct attributes {
  char names[65536], space[MAX_PAX_BYTES / 2];
  size_t used;
};

/* Into `entry`, which points into `attributes` afterwards. NULL, or what is wrong with it. */
const char *attributes_read(struct attributes *attributes, int fd, struct tar_entry *entry, uint64_t uid_base,
                            bool *opaque);

#endif
