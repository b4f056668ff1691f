/* The maps of sparse files, in the two forms that GNU tar writes: its own of old, and 1.0 within POSIX headers. */
#include <stdlib.h>
#include <string.h>

#include "toroid-archive.h"

const char *extents_add(struct extents *extents, uint64_t at, uint64_t length) {
  const struct extent *last = extents->count > 0 ? &extents->at[extents->count - 1] : NULL;
  uint64_t end;
  if (__builtin_add_overflow(at, length, &end) || end > INT64_MAX || (last != NULL && at < last->at + last->length))
    return "is a sparse file whose parts are not in order";
  /* each part begins a block of the archive, so that readers which count bytes and those which count blocks agree */
  if (last != NULL && length > 0 && last->length % TAR_BLOCK != 0)
    return "is a sparse file with a part that does not fill its blocks";
  if (extents->count == MAX_EXTENTS) return "is a sparse file of more than 1048576 parts";
  if (extents->count == extents->room) {
    size_t room = extents->room == 0 ? 16 : extents->room * 2;
    struct extent *more = realloc(extents->at, room * sizeof *more);
    if (more == NULL) return "is a sparse file for whose map there is no memory";
    extents->at = more;
    extents->room = room;
  }
  extents->at[extents->count++] = (struct extent){.at = at, .length = length};
  return NULL;
}

/* A list of places, 24 bytes each, up to one of length 0. */
static const char *add_places(struct extents *extents, const char *places, size_t count, bool *more) {
  for (size_t i = 0; i < count; i++) {
    const char *place = places + 24 * i;
    int64_t at, length;
    *more = false;
    if (place[0] == '\0' && place[12] == '\0') return NULL;
    if (!tar_number(place, 12, &at) || !tar_number(place + 12, 12, &length) || at < 0 || length < 0)
      return "is a sparse file whose map is not well-formed";
    const char *why = extents_add(extents, (uint64_t)at, (uint64_t)length);
    if (why != NULL) return why;
    *more = true;
  }
  return NULL;
}

/* In the header, where POSIX has the prefix: four places, whether blocks with 21 more follow, the file's size. */
const char *sparse_old(struct tar *tar, const char *header, int64_t *size, struct failure *failure) {
  const char *block = header;
  bool more, follows = block[482] != 0;
  if (!tar_number(block + 483, 12, size)) return "is a sparse file whose size is not well-formed";
  const char *why = add_places(&tar->extents, block + 386, 4, &more);
  while (why == NULL && follows) {
    if (tar_block(tar, &block, failure) != 0) return "";
    follows = block[504] != 0;
    /* blocks after the last place mean nothing, but there may not be arbitrarily many */
    if (!more) return "is a sparse file whose map goes on after its end";
    why = add_places(&tar->extents, block, 21, &more);
  }
  return why;
}

/* A character of the map, which is text at the head of the contents. */
static int map_character(struct tar *tar, const char **block, size_t *at, struct failure *failure) {
  if (*at % TAR_BLOCK == 0) {
    if (tar->left < TAR_BLOCK) return '\0';
    if (tar_block(tar, block, failure) != 0) return -1;
    tar->left -= TAR_BLOCK;
    *at = 0;
  }
  return (*block)[(*at)++] & 0xff;
}

/* Digits and a newline. */
static const char *map_number(struct tar *tar, const char **block, size_t *at, uint64_t *into,
                              struct failure *failure) {
  static const char BROKEN[] = "is a sparse file whose map is not well-formed";
  char digits[24];
  for (size_t i = 0; i < sizeof digits; i++) {
    int character = map_character(tar, block, at, failure);
    if (character < 0) return "";
    digits[i] = character == '\n' ? '\0' : (char)character;
    if (character == '\n') return read_number(digits, 0, INT64_MAX, into) ? NULL : BROKEN;
    if (character < '0' || character > '9') return BROKEN;
  }
  return BROKEN;
}

const char *sparse_1_0(struct tar *tar, struct failure *failure) {
  const char *block = NULL;
  size_t at = 0;
  uint64_t count = 0, from = 0, length = 0;
  const char *why = map_number(tar, &block, &at, &count, failure);
  for (uint64_t i = 0; why == NULL && i < count; i++) {
    why = map_number(tar, &block, &at, &from, failure);
    if (why == NULL) why = map_number(tar, &block, &at, &length, failure);
    if (why == NULL) why = extents_add(&tar->extents, from, length);
  }
  return why;
}
