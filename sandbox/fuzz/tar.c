/* Archives: whatever the bytes are, what the reader hands on is what unpack-tree.c counts on, and what the writer makes
 * of it reads the same. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../toroid-archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition)) abort();                                                                                         \
  } while (0)

#define MAX_SECONDS (1ll << 61)

struct input {
  const uint8_t *at;
  size_t left, step;
};

/* In pieces of all sizes, as a pipe gives them. */
static ssize_t read_input(void *from, void *into, size_t room) {
  struct input *input = from;
  size_t piece = input->step++ % 1021 + 1;
  if (piece > room) piece = room;
  if (piece > input->left) piece = input->left;
  memcpy(into, input->at, piece);
  input->at += piece;
  input->left -= piece;
  return (ssize_t)piece;
}

static volatile int touched;

/* Told apart by hand: the reader's own check is what is tried. */
static void check_path(const char *path) {
  size_t length = strlen(path);
  MUST(length < PATH_MAX);
  if (length == 0) return;
  for (const char *part = path; part != NULL; part = strchr(part, '/') == NULL ? NULL : strchr(part, '/') + 1) {
    size_t size = strcspn(part, "/");
    MUST(size > 0 && size <= NAME_BYTES);
    MUST(strncmp(part, ".", size) != 0 && strncmp(part, "..", size) != 0);
  }
}

static void check_entry(const struct tar_entry *entry) {
  check_path(entry->path);
  if (entry->kind == TAR_HARD_LINK) check_path(entry->link);
  MUST(entry->kind != TAR_SYMLINK || entry->link[0] != '\0');
  MUST(entry->mode <= 07777 && entry->uid <= INT64_MAX && entry->gid <= INT64_MAX && entry->size <= INT64_MAX);
  MUST(entry->mtime.tv_nsec >= 0 && entry->mtime.tv_nsec < 1000000000);
  MUST(entry->kind == TAR_FILE || (entry->extent_count == 0 && entry->size == 0));
  uint64_t end = 0;
  for (size_t i = 0; i < entry->extent_count; i++) {
    MUST(entry->extents[i].at >= end && entry->extents[i].length <= entry->size);
    end = entry->extents[i].at + entry->extents[i].length;
    MUST(end <= entry->size);
  }
  for (size_t i = 0; i < entry->xattr_count; i++) {
    MUST(is_kept_xattr(entry->xattrs[i].name));
    for (size_t at = 0; at < entry->xattrs[i].length; at++)
      touched += ((const char *)entry->xattrs[i].value)[at]; /* all of it is there */
  }
}

/* The contents come in order, each where the map says, and no more of them than it says. */
static void check_data(struct tar *tar, struct failure *failure) {
  const char *bytes;
  size_t length;
  uint64_t at, end = 0, sum = 0, mapped = 0;
  int more;
  for (size_t i = 0; i < tar->entry.extent_count; i++) mapped += tar->entry.extents[i].length;
  while ((more = tar_data(tar, &bytes, &length, &at, failure)) == 1) {
    MUST(length > 0 && at >= end && at + length <= tar->entry.size);
    end = at + length;
    sum += length;
  }
  MUST(more == 0 ? sum == mapped : failure->step[0] != '\0');
}

static bool is_same(const struct tar_entry *a, const struct tar_entry *b) {
  bool same = a->kind == b->kind && strcmp(a->path, b->path) == 0 && strcmp(a->link, b->link) == 0 &&
              a->mode == b->mode && a->size == b->size && a->extent_count == b->extent_count &&
              a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
              a->xattr_count == b->xattr_count;
  for (size_t i = 0; same && i < a->extent_count; i++)
    same = a->extents[i].at == b->extents[i].at && a->extents[i].length == b->extents[i].length;
  for (size_t i = 0; same && i < a->xattr_count; i++)
    same = strcmp(a->xattrs[i].name, b->xattrs[i].name) == 0 && a->xattrs[i].length == b->xattrs[i].length &&
           memcmp(a->xattrs[i].value, b->xattrs[i].value, a->xattrs[i].length) == 0;
  return same;
}

/* An entry as `export` has them: contents of zeros, owners of a sandbox, links where links are. */
static void check_round(const struct tar_entry *read) {
  static struct tar_out out;
  static char bytes[1 << 20];
  static int memory = -1;
  struct tar_entry entry = *read;
  struct failure failure = {0};
  uint64_t contents = 0;
  for (size_t i = 0; i < entry.extent_count; i++) contents += entry.extents[i].length;
  if (entry.kind == TAR_DEVICE || entry.mtime.tv_sec < -MAX_SECONDS || entry.mtime.tv_sec > MAX_SECONDS ||
      contents > sizeof bytes / 2 || entry.extent_count > 1000)
    return;
  if (entry.size == 0) entry.extent_count = 0; /* as export says it; archives may have a map of nothings */
  if (entry.kind == TAR_FILE && entry.extent_count == 0 && entry.size > 0) return;
  if (entry.kind != TAR_SYMLINK && entry.kind != TAR_HARD_LINK) entry.link[0] = '\0';
  entry.uid = entry.gid = 0;
  if (memory < 0) memory = memfd_create("round", MFD_CLOEXEC);
  MUST(memory >= 0 && ftruncate(memory, 0) == 0 && lseek(memory, 0, SEEK_SET) == 0);
  out = (struct tar_out){.fd = memory, .most = UINT64_MAX};
  memset(bytes, 0, contents);
  MUST(tar_put_entry(&out, &entry, &failure) == 0 && tar_put_bytes(&out, bytes, contents, &failure) == 0);
  MUST(tar_put_padding(&out, &failure) == 0 && tar_put_end(&out, &failure) == 0);
  ssize_t length = pread(memory, bytes, sizeof bytes, 0);
  MUST(length > 0);
  if (length == sizeof bytes) return; /* attributes of a megabyte */
  struct input input = {.at = (const uint8_t *)bytes, .left = (size_t)length};
  struct tar *again = tar_open(read_input, &input, UINT64_MAX);
  MUST(again != NULL && tar_next(again, &failure) == 1);
  if (again->entry.kind == TAR_FILE && again->entry.size == 0) again->entry.extent_count = 0;
  MUST(is_same(&again->entry, &entry));
  check_data(again, &failure);
  MUST(tar_next(again, &failure) == 0);
  tar_close(again);
}

/* Or hardly a change of a header would be looked at. */
static void mend_checksums(uint8_t *data, size_t size) {
  for (size_t at = 0; size - at >= TAR_BLOCK;) {
    struct tar_header header;
    int64_t length;
    memcpy(&header, data + at, sizeof header);
    if (header.checksum[0] != '\0') tar_set_checksum(&header);
    memcpy(data + at, &header, sizeof header);
    at += TAR_BLOCK;
    if (!tar_number(header.size, sizeof header.size, &length) || length < 0) return;
    uint64_t blocks = ((uint64_t)length + TAR_BLOCK - 1) / TAR_BLOCK;
    if (blocks > (size - at) / TAR_BLOCK) return;
    at += blocks * TAR_BLOCK;
  }
}

static void read_archive(const uint8_t *data, size_t size) {
  struct input input = {.at = data, .left = size};
  struct failure failure = {0};
  struct tar *tar = tar_open(read_input, &input, 1 << 20);
  MUST(tar != NULL);
  int more;
  for (unsigned entries = 0; (more = tar_next(tar, &failure)) == 1; entries++) {
    check_entry(&tar->entry);
    check_round(&tar->entry);
    if (entries % 2 == 0) check_data(tar, &failure); /* the others are passed over */
    if (failure.step[0] != '\0') break;
  }
  MUST(more >= 0 || failure.step[0] != '\0');
  tar_close(tar);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *mended = malloc(size + 1);
  MUST(mended != NULL);
  memcpy(mended, data, size);
  mend_checksums(mended, size);
  read_archive(mended, size);
  free(mended);
  if (size % 2 == 1) read_archive(data, size); /* as it came */
  return 0;
}
