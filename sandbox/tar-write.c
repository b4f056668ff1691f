/* Writes an archive as a stream: POSIX's headers, and GNU's 1.0 for sparse files, which all readers of today know. The
 * same entries make the same bytes. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toroid-archive.h"

#define STEP "export"
#define MAX_OCTAL_SIZE 077777777777ll

static int flush(struct tar_out *out, struct failure *failure) {
  for (size_t at = 0; at < out->used;) {
    ssize_t wrote = write(out->fd, out->buffer + at, out->used - at);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return failed(failure, STEP, "the archive cannot be written");
    at += (size_t)wrote;
  }
  out->used = 0;
  return 0;
}

int tar_put_bytes(struct tar_out *out, const char *bytes, size_t length, struct failure *failure) {
  errno = 0;
  if (length > out->most - out->written) return failed(failure, STEP, "the archive is longer than --max-bytes");
  out->written += length;
  while (length > 0) {
    if (out->used == sizeof out->buffer && flush(out, failure) != 0) return -1;
    size_t room = sizeof out->buffer - out->used, part = length < room ? length : room;
    memcpy(out->buffer + out->used, bytes, part);
    out->used += part;
    bytes += part;
    length -= part;
  }
  return 0;
}

int tar_put_padding(struct tar_out *out, struct failure *failure) {
  static const char zeros[TAR_BLOCK];
  return tar_put_bytes(out, zeros, (TAR_BLOCK - out->written % TAR_BLOCK) % TAR_BLOCK, failure);
}

int tar_put_end(struct tar_out *out, struct failure *failure) {
  static const char zeros[2 * TAR_BLOCK];
  return tar_put_bytes(out, zeros, sizeof zeros, failure) == 0 ? flush(out, failure) : -1;
}

/* ---- text that grows ---- */

struct text {
  char *at;
  size_t used, room;
  bool lost; /* there was no memory */
};

static void add_bytes(struct text *text, const void *bytes, size_t length) {
  if (length == 0 || text->lost) return;
  if (text->at == NULL || text->used + length > text->room) {
    size_t room = (text->used + length) * 2 + 256;
    char *more = realloc(text->at, room);
    if (more == NULL) {
      text->lost = true;
      return;
    }
    text->at = more;
    text->room = room;
  }
  memcpy(text->at + text->used, bytes, length);
  text->used += length;
}

__attribute__((format(printf, 2, 3))) static void add_text(struct text *text, const char *format, ...) {
  char line[64];
  va_list rest;
  va_start(rest, format);
  int length = vsnprintf(line, sizeof line, format, rest);
  va_end(rest);
  add_bytes(text, line, (size_t)length);
}

/* "LENGTH KEY=VALUE\n", where LENGTH counts its own digits too. */
static void add_record(struct text *text, const char *key, const void *value, size_t length) {
  size_t rest = strlen(key) + length + 3, whole = rest + 1;
  for (size_t digits = 1, limit = 10; whole >= limit; limit *= 10) whole = rest + ++digits;
  add_text(text, "%zu ", whole);
  add_bytes(text, key, strlen(key));
  add_bytes(text, "=", 1);
  add_bytes(text, value, length);
  add_bytes(text, "\n", 1);
}

static void add_number(struct text *text, const char *key, uint64_t value) {
  char digits[24];
  snprintf(digits, sizeof digits, "%llu", (unsigned long long)value);
  add_record(text, key, digits, strlen(digits));
}

static void add_time(struct text *text, const struct timespec *at) {
  char value[48];
  long long seconds = at->tv_sec;
  long nanos = at->tv_nsec;
  bool negative = seconds < 0;
  if (negative && nanos > 0) { /* -2 and .25 is -1.75 */
    seconds++;
    nanos = 1000000000 - nanos;
  }
  snprintf(value, sizeof value, "%s%lld.%09ld", negative ? "-" : "", negative ? -seconds : seconds, nanos);
  add_record(text, "mtime", value, strlen(value));
}

/* ---- an entry ---- */

static bool is_ascii(const char *text) {
  for (; *text != '\0'; text++) {
    if ((*text & 0x80) != 0) return false;
  }
  return true;
}

static void octal(char *field, size_t room, uint64_t value) {
  snprintf(field, room, "%0*llo", (int)room - 1, (unsigned long long)value);
}

static const char TYPES[] = {[TAR_FILE] = '0',      [TAR_HARD_LINK] = '1', [TAR_SYMLINK] = '2',
                             [TAR_DIRECTORY] = '5', [TAR_FIFO] = '6',      [TAR_DEVICE] = '3'};

static int put_header(struct tar_out *out, const struct tar_entry *entry, const char *name, char type, uint64_t size,
                      struct failure *failure) {
  struct tar_header header = {.magic = "ustar", .version = {'0', '0'}, .type = type};
  long long seconds = entry->mtime.tv_sec;
  memcpy(header.name, name, strnlen(name, sizeof header.name));
  memcpy(header.link, entry->link, strnlen(entry->link, sizeof header.link));
  octal(header.mode, sizeof header.mode, entry->mode);
  octal(header.uid, sizeof header.uid, entry->uid);
  octal(header.gid, sizeof header.gid, entry->gid);
  octal(header.size, sizeof header.size, size > MAX_OCTAL_SIZE ? 0 : size);
  octal(header.mtime, sizeof header.mtime, seconds < 0 || seconds > MAX_OCTAL_SIZE ? 0 : (uint64_t)seconds);
  octal(header.major, sizeof header.major, 0);
  octal(header.minor, sizeof header.minor, 0);
  tar_set_checksum(&header);
  return tar_put_bytes(out, (const char *)&header, sizeof header, failure);
}

/* What the header has no room for. */
static void add_records(struct text *pax, const struct tar_entry *entry, const char *name, bool sparse, uint64_t size) {
  const struct tar_header *fits = NULL;
  bool long_name = strlen(name) > sizeof fits->name, long_link = strlen(entry->link) > sizeof fits->link;
  if ((long_name && !is_ascii(name)) || (long_link && !is_ascii(entry->link)) || (sparse && !is_ascii(name)))
    add_record(pax, "hdrcharset", "BINARY", 6);
  if (sparse) {
    add_record(pax, "GNU.sparse.major", "1", 1);
    add_record(pax, "GNU.sparse.minor", "0", 1);
    add_record(pax, "GNU.sparse.name", name, strlen(name));
    add_number(pax, "GNU.sparse.realsize", entry->size);
  } else if (long_name) {
    add_record(pax, "path", name, strlen(name));
  }
  if (long_link) add_record(pax, "linkpath", entry->link, strlen(entry->link));
  if (size > MAX_OCTAL_SIZE) add_number(pax, "size", size);
  if (entry->mtime.tv_nsec != 0 || entry->mtime.tv_sec < 0 || entry->mtime.tv_sec > MAX_OCTAL_SIZE)
    add_time(pax, &entry->mtime);
  for (size_t i = 0; i < entry->xattr_count; i++) {
    char key[sizeof "SCHILY.xattr." + NAME_BYTES];
    snprintf(key, sizeof key, "SCHILY.xattr.%s", entry->xattrs[i].name);
    add_record(pax, key, entry->xattrs[i].value, entry->xattrs[i].length);
  }
}

static void add_map(struct text *map, const struct tar_entry *entry) {
  add_text(map, "%zu\n", entry->extent_count);
  for (size_t i = 0; i < entry->extent_count; i++)
    add_text(map, "%llu\n%llu\n", (unsigned long long)entry->extents[i].at,
             (unsigned long long)entry->extents[i].length);
  while (map->used % TAR_BLOCK != 0 && !map->lost) add_bytes(map, "", 1);
}

static int put_texts(struct tar_out *out, const struct tar_entry *entry, const char *name, const struct text *pax,
                     const struct text *map, uint64_t size, struct failure *failure) {
  const struct tar_entry plain = {.mode = 0644};
  const char *shown_name = map->used > 0 ? "GNUSparseFile.0/file" : name; /* for readers that do not know them */
  if (pax->used > 0 && (put_header(out, &plain, "PaxHeaders/entry", 'x', pax->used, failure) != 0 ||
                        tar_put_bytes(out, pax->at, pax->used, failure) != 0 || tar_put_padding(out, failure) != 0))
    return -1;
  if (put_header(out, entry, shown_name, TYPES[entry->kind], size, failure) != 0) return -1;
  return map->used > 0 ? tar_put_bytes(out, map->at, map->used, failure) : 0;
}

int tar_put_entry(struct tar_out *out, const struct tar_entry *entry, struct failure *failure) {
  char name[PATH_MAX + 2];
  struct text pax = {0}, map = {0};
  uint64_t size = 0;
  bool sparse = entry->kind == TAR_FILE && entry->extent_count > 0 &&
                (entry->extent_count > 1 || entry->extents[0].at > 0 || entry->extents[0].length < entry->size);
  snprintf(name, sizeof name, "%s%s", entry->path[0] == '\0' ? "." : entry->path,
           entry->kind == TAR_DIRECTORY ? "/" : "");
  if (sparse) add_map(&map, entry);
  for (size_t i = 0; i < entry->extent_count; i++) size += entry->extents[i].length;
  size += map.used;
  add_records(&pax, entry, name, sparse, size);
  errno = 0;
  int result = pax.lost || map.lost ? failed(failure, STEP, "there is no memory for a header")
                                    : put_texts(out, entry, name, &pax, &map, size, failure);
  free(pax.at);
  free(map.at);
  return result;
}
