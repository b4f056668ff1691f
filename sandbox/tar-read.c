/* Reads an archive as a stream: ustar's, GNU's and POSIX's headers, one entry after the other. Strict: what two readers
 * could take differently is refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "toroid-archive.h"

#define STEP "archive"
enum { MAX_END_BYTES = 16 << 20 }; /* of zeros after the end: archivers fill up what they call a record */

struct tar *tar_open(ssize_t (*reader)(void *from, void *into, size_t room), void *from, uint64_t most) {
  struct tar *tar = calloc(1, sizeof *tar);
  char *text = malloc(MAX_PAX_BYTES + 1);
  if (tar == NULL || text == NULL) {
    free(tar);
    free(text);
    return NULL;
  }
  tar->read = reader;
  tar->from = from;
  tar->most = most;
  tar->pax_text = text;
  return tar;
}

void tar_close(struct tar *tar) {
  free(tar->pax_text);
  free(tar->extents.at);
  free(tar);
}

static int refuse_archive(const struct tar *tar, const char *why, struct failure *failure) {
  uint64_t at = tar->got - (tar->used - tar->at); /* what has been taken */
  errno = 0;
  (void)failed(failure, STEP, "the archive %s, after %llu bytes", why, (unsigned long long)at);
  return -1;
}

static int refuse_entry(const struct tar *tar, const char *why, struct failure *failure) {
  char name[SHOWN];
  errno = 0;
  return failed(failure, STEP, "`%s` %s", shown(name, tar->entry.path), why);
}

/* At least `need` bytes into the buffer. 1, or 0 when the archive ends just here, or -1. */
static int fill(struct tar *tar, size_t need, struct failure *failure) {
  if (tar->used - tar->at >= need) return 1;
  memmove(tar->buffer, tar->buffer + tar->at, tar->used - tar->at);
  tar->used -= tar->at;
  tar->at = 0;
  while (tar->used < need) {
    ssize_t got = tar->read(tar->from, tar->buffer + tar->used, TAR_BUFFER - tar->used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed(failure, STEP, "the archive cannot be read");
    if (got == 0 && tar->used == 0) return 0;
    if (got == 0) return refuse_archive(tar, "ends in the middle", failure);
    tar->used += (size_t)got;
    tar->got += (uint64_t)got;
    if (tar->got > tar->most) return refuse_archive(tar, "is longer than all that it may bring", failure);
  }
  return 1;
}

/* 1, 0 at the end, -1. */
static int block_or_end(struct tar *tar, const char **block, struct failure *failure) {
  int more = fill(tar, TAR_BLOCK, failure);
  if (more != 1) return more;
  *block = tar->buffer + tar->at;
  tar->at += TAR_BLOCK;
  return 1;
}

int tar_block(struct tar *tar, const char **block, struct failure *failure) {
  int got = block_or_end(tar, block, failure);
  if (got != 0) return got == 1 ? 0 : -1;
  return refuse_archive(tar, "ends in the middle", failure);
}

/* Up to `most` bytes, as many as are there. How many, or -1. */
static ssize_t take(struct tar *tar, const char **bytes, uint64_t most, struct failure *failure) {
  int more = fill(tar, 1, failure);
  if (more == 0) return refuse_archive(tar, "ends in the middle", failure);
  if (more < 0) return -1;
  size_t there = tar->used - tar->at, taken = most < there ? (size_t)most : there;
  *bytes = tar->buffer + tar->at;
  tar->at += taken;
  return (ssize_t)taken;
}

static int pass_over(struct tar *tar, uint64_t length, struct failure *failure) {
  const char *bytes;
  while (length > 0) {
    ssize_t taken = take(tar, &bytes, length, failure);
    if (taken < 0) return -1;
    length -= (uint64_t)taken;
  }
  return 0;
}

static uint64_t padding_of(uint64_t length) {
  return (TAR_BLOCK - length % TAR_BLOCK) % TAR_BLOCK;
}

static bool is_zero(const char *block) {
  return block[0] == '\0' && memcmp(block, block + 1, TAR_BLOCK - 1) == 0;
}

/* After the first block of zeros. A second one is the rule; then there is nothing, or more zeros. */
static int end_of_archive(struct tar *tar, struct failure *failure) {
  const char *block;
  int got;
  for (size_t zeros = TAR_BLOCK; (got = block_or_end(tar, &block, failure)) == 1; zeros += TAR_BLOCK) {
    if (!is_zero(block)) return refuse_archive(tar, "goes on behind its end", failure);
    if (zeros > MAX_END_BYTES) return refuse_archive(tar, "ends in too many zeros", failure);
  }
  return got;
}

/* The contents of a header that describes the next one, with a NUL after it. */
static int take_text(struct tar *tar, int64_t size, char *into, size_t *length, struct failure *failure) {
  const char *bytes;
  if (size > MAX_PAX_BYTES) return refuse_archive(tar, "has an extended header of more than 1 MiB", failure);
  for (*length = 0; *length < (size_t)size;) {
    ssize_t taken = take(tar, &bytes, (uint64_t)size - *length, failure);
    if (taken < 0) return -1;
    memcpy(into + *length, bytes, (size_t)taken);
    *length += (size_t)taken;
  }
  into[*length] = '\0';
  return pass_over(tar, padding_of((uint64_t)size), failure);
}

/* What the headers before an entry's own have said of it. */
struct said {
  bool pax_came, path_came, link_came;
  struct pax pax;
  const char *wrong; /* told once the entry's name is known */
};

static int set_path(struct tar *tar, const char *raw, size_t length, struct failure *failure) {
  struct tar_entry *entry = &tar->entry;
  const char *why = clean_path(raw, length, entry->path);
  if (why == NULL) return 0;
  snprintf(entry->path, sizeof entry->path, "%.*s", (int)(length < SHOWN ? length : SHOWN), raw);
  return refuse_entry(tar, why, failure);
}

static int set_link(struct tar *tar, const char *raw, size_t length, struct failure *failure) {
  struct tar_entry *entry = &tar->entry;
  if (memchr(raw, '\0', length) != NULL) return refuse_entry(tar, "is a link with a NUL in it", failure);
  if (length >= sizeof entry->link) return refuse_entry(tar, "is a link to more than 4095 bytes", failure);
  memcpy(entry->link, raw, length);
  entry->link[length] = '\0';
  return 0;
}

/* A name that does not fit the header, as GNU tar writes it: ended by a NUL, of which there may be more. */
static int take_long(struct tar *tar, int64_t size, bool is_link, struct said *said, struct failure *failure) {
  size_t length;
  bool *came = is_link ? &said->link_came : &said->path_came;
  if (*came) said->wrong = "has two long names";
  *came = true;
  char *text = malloc(MAX_PAX_BYTES + 1);
  if (text == NULL) return failed(failure, STEP, "there is no memory for a long name");
  int result = take_text(tar, size, text, &length, failure);
  if (result == 0) result = (is_link ? set_link : set_path)(tar, text, strlen(text), failure);
  free(text);
  return result;
}

static int take_pax(struct tar *tar, int64_t size, struct said *said, struct failure *failure) {
  size_t length;
  if (take_text(tar, size, tar->pax_text, &length, failure) != 0) return -1;
  const char *why = said->pax_came ? "has two extended headers" : pax_parse(tar->pax_text, length, &said->pax);
  if (why != NULL) said->wrong = why;
  said->pax_came = true;
  return 0;
}

/* For all entries that follow. Comments are common; what changes entries is not, and is no good idea. */
static int take_global(struct tar *tar, int64_t size, struct said *said, struct failure *failure) {
  size_t length;
  struct pax pax = {0};
  if (said->pax_came) return refuse_archive(tar, "has a global header between a header and its entry", failure);
  if (take_text(tar, size, tar->pax_text, &length, failure) != 0) return -1;
  bool plain = pax_parse(tar->pax_text, length, &pax) == NULL && pax.xattr_count == 0;
  for (size_t i = 0; i < PAX_KEYS; i++) plain &= pax.values[i].at == NULL;
  return plain ? 0 : refuse_archive(tar, "has a global header with more than comments", failure);
}

static size_t field_length(const char *field, size_t room) {
  const char *end = memchr(field, '\0', room);
  return end == NULL ? room : (size_t)(end - field);
}

static int name_entry(struct tar *tar, const struct tar_header *header, const struct said *said, bool *slash,
                      struct failure *failure) {
  const struct pax_value *values = said->pax.values;
  const struct pax_value *path = &values[values[PAX_SPARSE_NAME].at != NULL ? PAX_SPARSE_NAME : PAX_PATH];
  const struct pax_value *link = &values[PAX_LINKPATH];
  char whole[sizeof header->prefix + 1 + sizeof header->name];
  size_t used = 0, name = field_length(header->name, sizeof header->name);
  if (memcmp(header->magic, "ustar", 6) == 0) { /* with a NUL: POSIX; GNU has other things there */
    used = field_length(header->prefix, sizeof header->prefix);
    memcpy(whole, header->prefix, used);
    if (used > 0) whole[used++] = '/';
  }
  memcpy(whole + used, header->name, name);
  used += name;
  *slash = used > 0 && whole[used - 1] == '/';
  if (path->at != NULL) {
    *slash = path->at[path->length - 1] == '/';
    if (set_path(tar, path->at, path->length, failure) != 0) return -1;
  } else if (!said->path_came && set_path(tar, whole, used, failure) != 0) {
    return -1;
  }
  if (said->wrong != NULL) return refuse_entry(tar, said->wrong, failure);
  if ((path->at != NULL && said->path_came) || (link->at != NULL && said->link_came))
    return refuse_entry(tar, "has a long name of GNU's and one of POSIX's", failure);
  if (link->at != NULL) return set_link(tar, link->at, link->length, failure);
  if (said->link_came) return 0;
  return set_link(tar, header->link, field_length(header->link, sizeof header->link), failure);
}

/* From the extended header, or else from the field. */
static bool number_of(const struct said *said, enum pax_key key, const char *field, size_t length, int64_t *into) {
  const struct pax_value *value = &said->pax.values[key];
  return (value->at != NULL ? pax_number(value, into) : tar_number(field, length, into)) && *into >= 0;
}

static const char *describe_entry(struct tar_entry *entry, const struct tar_header *header, const struct said *said) {
  const struct pax_value *mtime = &said->pax.values[PAX_MTIME];
  int64_t mode, uid, gid, seconds;
  if (!tar_number(header->mode, sizeof header->mode, &mode)) return "has a mode that is no number";
  if (!number_of(said, PAX_UID, header->uid, sizeof header->uid, &uid) ||
      !number_of(said, PAX_GID, header->gid, sizeof header->gid, &gid))
    return "has an owner that is no number";
  if (!tar_number(header->mtime, sizeof header->mtime, &seconds) ||
      (mtime->at != NULL && !pax_time(mtime, &entry->mtime)))
    return "has a time that is no number";
  if (mtime->at == NULL) entry->mtime = (struct timespec){.tv_sec = seconds};
  entry->mode = (uint32_t)mode & 07777;
  entry->uid = (uint64_t)uid;
  entry->gid = (uint64_t)gid;
  memcpy(entry->xattrs, said->pax.xattrs, sizeof entry->xattrs);
  entry->xattr_count = said->pax.xattr_count;
  return NULL;
}

static const char *kind_of(struct tar_entry *entry, char type, bool slash) {
  switch (type) {
  case '\0':
  case '0': entry->kind = slash ? TAR_DIRECTORY : TAR_FILE; return NULL; /* before POSIX, a slash made a directory */
  case '7':
  case 'S': entry->kind = TAR_FILE; return NULL;
  case '1': entry->kind = TAR_HARD_LINK; return NULL;
  case '2': entry->kind = TAR_SYMLINK; return NULL;
  case '3':
  case '4': entry->kind = TAR_DEVICE; return NULL;
  case '5': entry->kind = TAR_DIRECTORY; return NULL;
  case '6': entry->kind = TAR_FIFO; return NULL;
  default: return "is of a kind that is not read here";
  }
}

static const char *clean_links(struct tar_entry *entry) {
  if (entry->kind == TAR_SYMLINK && entry->link[0] == '\0') return "is a link to nothing";
  if (entry->kind != TAR_HARD_LINK) return NULL;
  char clean[PATH_MAX];
  if (clean_path(entry->link, strlen(entry->link), clean) != NULL) return "is a link to a name that cannot be";
  memcpy(entry->link, clean, sizeof clean);
  return NULL;
}

/* Where the contents go: in one piece, or as the map of a sparse file says, which `tar->left` is then without. */
static const char *map_entry(struct tar *tar, const struct tar_header *header, const struct said *said,
                             struct failure *failure) {
  const struct pax_value *values = said->pax.values;
  struct tar_entry *entry = &tar->entry;
  int64_t size = (int64_t)tar->left, major, minor;
  const char *why = NULL;
  if (header->type == 'S') {
    if (values[PAX_SPARSE_MAJOR].at != NULL) return "is sparse in two ways";
    why = sparse_old(tar, (const char *)header, &size, failure);
  } else if (values[PAX_SPARSE_MAJOR].at != NULL) {
    if (values[PAX_SPARSE_MINOR].at == NULL || values[PAX_SPARSE_SIZE].at == NULL ||
        !pax_number(&values[PAX_SPARSE_MAJOR], &major) || !pax_number(&values[PAX_SPARSE_MINOR], &minor) ||
        !pax_number(&values[PAX_SPARSE_SIZE], &size) || major != 1 || minor != 0)
      return "is a sparse file of a format that is not read here";
    why = sparse_1_0(tar, failure);
  } else {
    why = extents_add(&tar->extents, 0, tar->left);
  }
  if (why != NULL) return why;
  uint64_t sum = 0, end = 0;
  for (size_t i = 0; i < tar->extents.count; i++) {
    sum += tar->extents.at[i].length;
    end = tar->extents.at[i].at + tar->extents.at[i].length;
  }
  if (size < 0 || end > (uint64_t)size || sum != tar->left)
    return "is a sparse file whose map does not fit its contents";
  entry->size = (uint64_t)size;
  entry->extents = tar->extents.at;
  entry->extent_count = tar->extents.count;
  return NULL;
}

static int take_entry(struct tar *tar, const struct tar_header *header, int64_t size, const struct said *said,
                      struct failure *failure) {
  struct tar_entry *entry = &tar->entry;
  bool slash;
  if (name_entry(tar, header, said, &slash, failure) != 0) return -1;
  const struct pax_value *longer = &said->pax.values[PAX_SIZE];
  const char *why = kind_of(entry, header->type, slash);
  if (why == NULL && longer->at != NULL && !pax_number(longer, &size)) why = "has a size that is no number";
  if (why == NULL) why = describe_entry(entry, header, said);
  if (why == NULL) why = clean_links(entry);
  if (why == NULL && entry->kind != TAR_FILE && size != 0) why = "has contents and is no file";
  if (why != NULL) return refuse_entry(tar, why, failure);
  tar->left = (uint64_t)size;
  tar->padding = padding_of(tar->left);
  why = entry->kind == TAR_FILE ? map_entry(tar, header, said, failure) : NULL;
  if (why == NULL) return 1;
  return why[0] == '\0' ? -1 : refuse_entry(tar, why, failure);
}

int tar_next(struct tar *tar, struct failure *failure) {
  struct said said = {0};
  struct tar_header header;
  const char *block;
  if (pass_over(tar, tar->left + tar->padding, failure) != 0) return -1;
  tar->left = tar->padding = tar->in_extent = 0;
  tar->extent = tar->extents.count = 0;
  memset(&tar->entry, 0, sizeof tar->entry);
  for (;;) {
    int64_t size;
    if (tar_block(tar, &block, failure) != 0) return -1;
    if (is_zero(block)) {
      bool hanging = said.pax_came || said.path_came || said.link_came;
      return hanging ? refuse_archive(tar, "ends with a header that no entry follows", failure)
                     : end_of_archive(tar, failure);
    }
    memcpy(&header, block, sizeof header);
    if (!tar_checksum_is_right(&header)) {
      if (tar->got - (tar->used - tar->at) > TAR_BLOCK)
        return refuse_archive(tar, "has a header that is damaged", failure);
      errno = 0;
      return failed(failure, STEP, "this is no tar archive, or a compressed one: uncompress it first");
    }
    if (!tar_number(header.size, sizeof header.size, &size) || size < 0)
      return refuse_archive(tar, "has a size that is no number", failure);
    int result;
    switch (header.type) {
    case 'x': result = take_pax(tar, size, &said, failure); break;
    case 'g': result = take_global(tar, size, &said, failure); break;
    case 'L': result = take_long(tar, size, false, &said, failure); break;
    case 'K': result = take_long(tar, size, true, &said, failure); break;
    default: return take_entry(tar, &header, size, &said, failure);
    }
    if (result != 0) return -1;
  }
}

int tar_data(struct tar *tar, const char **bytes, size_t *length, uint64_t *at, struct failure *failure) {
  while (tar->extent < tar->extents.count && tar->in_extent == tar->extents.at[tar->extent].length) {
    tar->extent++;
    tar->in_extent = 0;
  }
  if (tar->extent == tar->extents.count) return 0;
  const struct extent *extent = &tar->extents.at[tar->extent];
  ssize_t taken = take(tar, bytes, extent->length - tar->in_extent, failure);
  if (taken < 0) return -1;
  *length = (size_t)taken;
  *at = extent->at + tar->in_extent;
  tar->in_extent += (size_t)taken;
  tar->left -= (size_t)taken;
  return 1;
}
