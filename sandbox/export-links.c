/* Which file a hard link is another name of: the first path of each inode that has several. */
#include <stdlib.h>
#include <string.h>

#include "toroid-archive.h"

static size_t slot(const struct links *links, uint64_t inode) {
  size_t i = (size_t)(inode * 0x9e3779b97f4a7c15u >> 20) & (links->room - 1);
  while (links->at[i].path != 0 && links->at[i].inode != inode) i = (i + 1) & (links->room - 1);
  return i;
}

const char *links_find(const struct links *links, uint64_t inode) {
  size_t path = links->room == 0 ? 0 : links->at[slot(links, inode)].path;
  return path == 0 ? NULL : links->paths + path;
}

static int grow(struct links *links) {
  struct links bigger = *links;
  bigger.room = links->room == 0 ? 256 : links->room * 2;
  bigger.at = calloc(bigger.room, sizeof *bigger.at);
  if (bigger.at == NULL) return -1;
  for (size_t i = 0; i < links->room; i++) {
    if (links->at[i].path != 0) bigger.at[slot(&bigger, links->at[i].inode)] = links->at[i];
  }
  free(links->at);
  *links = bigger;
  return 0;
}

int links_add(struct links *links, uint64_t inode, const char *path, size_t most) {
  size_t length = strlen(path) + 1, end = links->bytes + 1 + length; /* a path is never at 0 */
  if (end > most || ((links->count + 1) * 2 > links->room && grow(links) != 0)) return -1;
  if (end > links->paths_room) {
    char *more = realloc(links->paths, end * 2);
    if (more == NULL) return -1;
    links->paths = more;
    links->paths_room = end * 2;
  }
  memcpy(links->paths + links->bytes + 1, path, length);
  links->at[slot(links, inode)] = (struct link_path){.inode = inode, .path = links->bytes + 1};
  links->bytes += length;
  links->count++;
  return 0;
}

void links_free(struct links *links) {
  free(links->paths);
  free(links->at);
  *links = (struct links){0};
}
