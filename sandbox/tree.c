/* Removes a tree that hostile code has written: no link is followed, no mount is crossed, and a chain of
 * a million directories costs no more descriptors than a shallow one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-sandbox.h"

enum { DEPTH_AT_ONCE = 24, MAX_ROUNDS = 1000000 };

struct removal {
  int top;             /* where directories that are too deep are moved, to be removed in their turn */
  unsigned long moved; /* how many so far; also their names */
};

static bool is_dots(const char *name) {
  return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int empty_directory(struct removal *removal, int dir, int depth);

static int remove_entry(struct removal *removal, int dir, const char *name, unsigned char type, int depth) {
  if (type != DT_DIR) {
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) return 0;
    if (errno != EISDIR && errno != EPERM) return -1;
  }
  if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  if (errno != ENOTEMPTY && errno != EEXIST) return -1;
  if (depth >= DEPTH_AT_ONCE) {
    char aside[32];
    snprintf(aside, sizeof aside, ".deep-%lu", removal->moved++);
    return renameat(dir, name, removal->top, aside);
  }
  int inner = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (inner < 0) return -1;
  if (empty_directory(removal, inner, depth + 1) != 0) return -1;
  return unlinkat(dir, name, AT_REMOVEDIR);
}

/* Takes `dir` over. */
static int empty_directory(struct removal *removal, int dir, int depth) {
  DIR *entries = fdopendir(dir);
  if (entries == NULL) {
    close(dir);
    return -1;
  }
  int result = 0;
  for (struct dirent *entry; result == 0 && (entry = readdir(entries)) != NULL;) {
    if (!is_dots(entry->d_name)) result = remove_entry(removal, dir, entry->d_name, entry->d_type, depth);
  }
  int error = errno;
  closedir(entries);
  errno = error;
  return result;
}

int tree_remove(int dir, const char *name) {
  if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  if (errno == ENOTDIR) return unlinkat(dir, name, 0);
  struct removal removal = {.top = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (removal.top < 0) return -1;
  int result = -1;
  for (int round = 0; round < MAX_ROUNDS; round++) { /* once more for each level moved to the top */
    int again = openat(removal.top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (again < 0 || empty_directory(&removal, again, 0) != 0) break;
    result = unlinkat(dir, name, AT_REMOVEDIR);
    if (result == 0 || errno != ENOTEMPTY) break;
  }
  int error = errno;
  close(removal.top);
  errno = error;
  return result;
}
