/* The parts of an archive's headers: numbers, names, extended records. Pure: text in, values out. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toroid-archive.h"

const char *shown(char into[SHOWN], const char *name) {
  size_t used = 0;
  for (const char *c = name; *c != '\0'; c++) {
    if (used + 8 > SHOWN) {
      memcpy(into + used, "...", 3);
      used += 3;
      break;
    }
    bool plain = *c >= 0x20 && *c < 0x7f && *c != '`' && *c != '\\';
    used += (size_t)snprintf(into + used, SHOWN - used, plain ? "%c" : "\\x%02x", (unsigned char)*c);
  }
  into[used] = '\0';
  return into;
}

/* The sum is of all bytes with its own field as spaces. Old archivers summed signed characters. */
bool tar_checksum_is_right(const struct tar_header *header) {
  const char *bytes = (const char *)header;
  const size_t from = offsetof(struct tar_header, checksum), to = from + sizeof header->checksum;
  int64_t is, plain = 0, sign = 0;
  for (size_t i = 0; i < sizeof *header; i++) {
    char byte = i >= from && i < to ? ' ' : bytes[i];
    plain += (unsigned char)byte;
    sign += (signed char)byte;
  }
  return tar_number(header->checksum, sizeof header->checksum, &is) && (is == plain || is == sign);
}

void tar_set_checksum(struct tar_header *header) {
  unsigned sum = 0;
  memset(header->checksum, ' ', sizeof header->checksum);
  for (size_t i = 0; i < sizeof *header; i++) sum += ((const unsigned char *)header)[i];
  snprintf(header->checksum, sizeof header->checksum, "%06o", sum);
}

static bool base_256(const unsigned char *field, size_t length, int64_t *into) {
  bool negative = (field[0] & 0x40) != 0;
  uint64_t value = negative ? UINT64_MAX << 7 | (field[0] & 0x7f) : field[0] & 0x3f;
  for (size_t i = 1; i < length; i++) {
    uint64_t top = value >> 55; /* what the shift pushes out, and the sign, must be all the same */
    if (top != (negative ? 0x1ff : 0)) return false;
    value = value << 8 | field[i];
  }
  *into = (int64_t)value;
  return true;
}

bool tar_number(const char *field, size_t length, int64_t *into) {
  if (((unsigned char)field[0] & 0x80) != 0) return base_256((const unsigned char *)field, length, into);
  size_t i = 0;
  uint64_t value = 0;
  while (i < length && (field[i] == ' ' || field[i] == '\0')) i++;
  for (; i < length && field[i] >= '0' && field[i] <= '7'; i++) {
    if (value >> 60 != 0) return false;
    value = value << 3 | (uint64_t)(field[i] - '0');
  }
  for (; i < length; i++) {
    if (field[i] != ' ' && field[i] != '\0') return false;
  }
  *into = (int64_t)value;
  return true;
}

const char *clean_path(const char *raw, size_t length, char into[PATH_MAX]) {
  size_t used = 0;
  if (memchr(raw, '\0', length) != NULL) return "has a NUL in it";
  for (size_t at = 0; at < length;) {
    const char *part = raw + at;
    const char *slash = memchr(part, '/', length - at);
    size_t size = slash == NULL ? length - at : (size_t)(slash - part);
    at += size + 1;
    if (size == 0 || (size == 1 && part[0] == '.')) continue;
    if (size == 2 && part[0] == '.' && part[1] == '.') return "has `..` in it";
    if (size > NAME_BYTES) return "has a part of more than 255 bytes";
    if (used + size + 2 > PATH_MAX) return "is longer than 4095 bytes";
    if (used > 0) into[used++] = '/';
    memcpy(into + used, part, size);
    used += size;
  }
  into[used] = '\0';
  return NULL;
}

/* What is said of these changes what is made; all other keys are told by the header as well, or do not matter here. */
static const char *const KEYS[PAX_KEYS] = {
    [PAX_PATH] = "path",
    [PAX_LINKPATH] = "linkpath",
    [PAX_SIZE] = "size",
    [PAX_UID] = "uid",
    [PAX_GID] = "gid",
    [PAX_MTIME] = "mtime",
    [PAX_SPARSE_MAJOR] = "GNU.sparse.major",
    [PAX_SPARSE_MINOR] = "GNU.sparse.minor",
    [PAX_SPARSE_NAME] = "GNU.sparse.name",
    [PAX_SPARSE_SIZE] = "GNU.sparse.realsize",
};

/* Formats 0.0 and 0.1 keep the map of a sparse file here. */
static bool is_old_sparse(const char *key) {
  return strcmp(key, "GNU.sparse.map") == 0 || strcmp(key, "GNU.sparse.numblocks") == 0 ||
         strcmp(key, "GNU.sparse.size") == 0;
}

bool is_kept_xattr(const char *name) {
  if (strcmp(name, "security.capability") == 0) return true;
  return strncmp(name, "user.", 5) == 0 && name[5] != '\0' && strncmp(name, "user.overlay.", 13) != 0 &&
         strlen(name) <= NAME_BYTES;
}

static const char *take_record(char *key, char *value, size_t length, struct pax *pax) {
  static const char XATTR[] = "SCHILY.xattr.";
  if (is_old_sparse(key)) return "is a sparse file of GNU's format 0, of which only 1.0 is read";
  if (strncmp(key, XATTR, sizeof XATTR - 1) == 0) {
    const char *name = key + sizeof XATTR - 1;
    if (!is_kept_xattr(name)) return NULL;
    if (pax->xattr_count == MAX_XATTRS) return "has more than 64 extended attributes";
    pax->xattrs[pax->xattr_count++] = (struct xattr){.name = name, .value = value, .length = length};
    return NULL;
  }
  for (size_t i = 0; i < PAX_KEYS; i++) {
    if (strcmp(KEYS[i], key) != 0) continue;
    /* an empty value takes back what was said before */
    pax->values[i] = length == 0 ? (struct pax_value){0} : (struct pax_value){.at = value, .length = length};
  }
  return NULL;
}

/* Each is "LENGTH KEY=VALUE\n", where LENGTH counts all of it. */
const char *pax_parse(char *text, size_t length, struct pax *pax) {
  static const char BROKEN[] = "has an extended header that is not well-formed";
  for (size_t at = 0; at < length;) {
    size_t size = 0, digits = at;
    for (; digits < length && digits - at < 8 && isdigit((unsigned char)text[digits]); digits++)
      size = size * 10 + (size_t)(text[digits] - '0');
    if (digits == at || digits == length || text[digits] != ' ' || size > length - at || size < digits - at + 4)
      return BROKEN; /* the shortest is "5 k=\n" */
    char *key = text + digits + 1, *end = text + at + size - 1;
    char *equals = memchr(key, '=', (size_t)(end - key));
    if (*end != '\n' || equals == NULL || equals == key) return BROKEN;
    *equals = *end = '\0';
    if (strlen(key) != (size_t)(equals - key)) return BROKEN;
    const char *why = take_record(key, equals + 1, (size_t)(end - equals - 1), pax);
    if (why != NULL) return why;
    at += size;
  }
  return NULL;
}

bool pax_number(const struct pax_value *value, int64_t *into) {
  uint64_t number;
  if (strlen(value->at) != value->length || !read_number(value->at, 0, INT64_MAX, &number)) return false;
  *into = (int64_t)number;
  return true;
}

/* Seconds with a fraction; what is finer than a nanosecond is cut off, downwards also before 1970. */
bool pax_time(const struct pax_value *value, struct timespec *into) {
  char whole[24];
  const char *text = value->at;
  bool negative = *text == '-';
  size_t digits = strspn(text += negative, "0123456789");
  uint64_t seconds;
  long nanos = 0, unit = 100000000;
  if (strlen(value->at) != value->length || digits == 0 || digits >= sizeof whole) return false;
  snprintf(whole, sizeof whole, "%.*s", (int)digits, text);
  if (!read_number(whole, 0, INT64_MAX / 2, &seconds)) return false;
  text += digits;
  if (*text == '.') {
    for (text++; isdigit((unsigned char)*text); text++, unit /= 10) nanos += (*text - '0') * unit;
  }
  if (*text != '\0') return false;
  into->tv_sec = negative ? -(time_t)seconds - (nanos > 0) : (time_t)seconds;
  into->tv_nsec = negative && nanos > 0 ? 1000000000 - nanos : nanos;
  return true;
}
