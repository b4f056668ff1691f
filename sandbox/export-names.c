/* The names in a directory, in an order that is the same everywhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toroid-archive.h"

static int by_bytes(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add(struct names *names, const char *name) {
  size_t length = strlen(name) + 1;
  if (names->used + length > names->room) {
    size_t room = (names->used + length) * 2;
    char *more = realloc(names->text, room);
    if (more == NULL) return -1;
    names->text = more;
    names->room = room;
  }
  memcpy(names->text + names->used, name, length);
  names->used += length;
  names->count++;
  return 0;
}

static int sort(struct names *names) {
  char *name = names->text;
  if (names->count == 0) return 0;
  names->at = malloc(names->count * sizeof *names->at);
  if (names->at == NULL) return -1;
  for (size_t i = 0; i < names->count; i++, name += strlen(name) + 1) names->at[i] = name;
  qsort(names->at, names->count, sizeof *names->at, by_bytes);
  return 0;
}

int names_read(struct names *names, int dir, uint64_t most) {
  int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = again < 0 ? NULL : fdopendir(again);
  if (entries == NULL) {
    if (again >= 0) close(again);
    return -1;
  }
  int result = 0;
  for (struct dirent *entry; result == 0;) {
    errno = 0;
    if ((entry = readdir(entries)) == NULL) {
      result = errno == 0 ? 0 : -1;
      break;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    errno = ENOBUFS;
    result = names->count < most ? add(names, entry->d_name) : -1;
  }
  int error = errno;
  closedir(entries);
  errno = error;
  return result == 0 ? sort(names) : -1;
}

void names_free(struct names *names) {
  free(names->text);
  free(names->at);
  *names = (struct names){0};
}
