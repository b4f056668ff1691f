/* Times of directories: noted while a tree is made, set when nothing is made in it any more. By inode, so that a note
 * is small and stays right when a directory is replaced by another. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-archive.h"

#define STEP "unpack"

static struct directory_time *find(const struct directories *directories, uint64_t inode) {
  uint64_t hash = inode * 0x9e3779b97f4a7c15u;
  for (size_t i = (size_t)(hash >> 20);; i++) {
    struct directory_time *entry = &directories->at[i & (directories->room - 1)];
    if (entry->inode == inode || entry->inode == 0) return entry;
  }
}

static int grow(struct directories *directories) {
  struct directories bigger = {.room = directories->room == 0 ? 256 : directories->room * 2};
  bigger.at = calloc(bigger.room, sizeof *bigger.at);
  if (bigger.at == NULL) return -1;
  for (size_t i = 0; i < directories->room; i++) {
    if (directories->at[i].inode != 0) *find(&bigger, directories->at[i].inode) = directories->at[i];
  }
  bigger.count = directories->count;
  free(directories->at);
  *directories = bigger;
  return 0;
}

int directories_put(struct directories *directories, uint64_t inode, struct timespec mtime) {
  if ((directories->count + 1) * 2 > directories->room && grow(directories) != 0) return -1;
  struct directory_time *entry = find(directories, inode);
  directories->count += entry->inode == 0;
  *entry = (struct directory_time){.inode = inode, .mtime = mtime};
  return 0;
}

static int settle(const struct directories *directories, int dir, struct failure *failure);

static int settle_below(const struct directories *directories, DIR *entries, struct failure *failure) {
  int result = 0;
  for (struct dirent *entry; result == 0 && (entry = readdir(entries)) != NULL;) {
    if (entry->d_type != DT_DIR || strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    int inner = sys_openat2(dirfd(entries), entry->d_name, O_RDONLY | O_DIRECTORY,
                            RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
    result = inner < 0 ? failed(failure, STEP, "cannot open a directory") : settle(directories, inner, failure);
  }
  return result;
}

/* Takes `dir` over. One descriptor a level. */
static int settle(const struct directories *directories, int dir, struct failure *failure) {
  struct stat is;
  DIR *entries = fstat(dir, &is) == 0 ? fdopendir(dir) : NULL;
  if (entries == NULL) {
    (void)failed(failure, STEP, "cannot read a directory");
    close(dir);
    return -1;
  }
  int result = settle_below(directories, entries, failure);
  const struct directory_time *note = find(directories, is.st_ino);
  const struct timespec times[] = {note->mtime, note->mtime};
  if (result == 0 && note->inode != 0 && futimens(dir, times) != 0)
    result = failed(failure, STEP, "cannot set the time of a directory");
  closedir(entries);
  return result;
}

int directories_settle(const struct directories *directories, int root, struct failure *failure) {
  int again = sys_openat2(root, ".", O_RDONLY | O_DIRECTORY, RESOLVE_BENEATH);
  return again < 0 ? failed(failure, STEP, "cannot open the directory") : settle(directories, again, failure);
}
