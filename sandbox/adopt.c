/* Hands what a build wrote into a client's directory over to the client, who has no right over the build's uids. The
 * tree is hostile and the client may be: nothing is followed, and only what the client or a build owns is touched. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-sandbox.h"

/* A descriptor for each; what lies deeper can still be removed, see tree.c. */
enum { MAX_DEPTH = 800, SPARE_DESCRIPTORS = 64 };

struct adoption {
  const struct serve *serve;
  struct failure *failure;
  long count;
};

static bool is_of_a_build(const struct serve *serve, uid_t uid) {
  for (uint64_t i = 0; i < serve->slots; i++) {
    if (uid >= serve->uid_bases[i] && uid < serve->uid_bases[i] + UID_COUNT) return true;
  }
  return false;
}

/* The owner can read it, and remove what is in it; and nobody becomes somebody else by it. */
static mode_t mode_for_owner(const struct stat *status) {
  mode_t most = status->st_mode & 0777;
  return S_ISDIR(status->st_mode) ? most | 0700 : most | 0400;
}

static bool has_that_mode(const struct stat *status) {
  return S_ISLNK(status->st_mode) || (status->st_mode & 07777) == mode_for_owner(status);
}

/* `fd` is O_PATH, so opening a FIFO or a device does nothing. */
static int take_over(struct adoption *adoption, int fd, const struct stat *status, const char *name) {
  char path[40];
  bool foreign = is_of_a_build(adoption->serve, status->st_uid);
  if (!foreign && status->st_uid != adoption->serve->client_uid) return 0;
  if (foreign) {
    if (fchownat(fd, "", (uid_t)adoption->serve->client_uid, (gid_t)adoption->serve->client_gid, AT_EMPTY_PATH) != 0)
      return failed(adoption->failure, "adopt", "cannot take %.200s over", name);
    adoption->count++;
  }
  if (has_that_mode(status)) return 0;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  if (chmod(path, mode_for_owner(status)) == 0) return 0;
  return failed(adoption->failure, "adopt", "cannot change the mode of %.200s", name);
}

static int adopt_below(struct adoption *adoption, int dir, int depth);

/* Of most things in a tree, and then one look is all they cost. */
static bool is_the_clients(const struct adoption *adoption, int dir, const char *name) {
  struct stat status;
  return fstatat(dir, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(status.st_mode) &&
         status.st_uid == adoption->serve->client_uid && has_that_mode(&status);
}

static int adopt_entry(struct adoption *adoption, int dir, const char *name, int depth) {
  struct stat status;
  if (is_the_clients(adoption, dir, name)) return 0;
  int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? 0 : failed(adoption->failure, "adopt", "cannot open %.200s", name);
  int result = fstat(fd, &status) == 0 ? take_over(adoption, fd, &status, name)
                                       : failed(adoption->failure, "adopt", "cannot look at %.200s", name);
  if (result == 0 && S_ISDIR(status.st_mode)) result = adopt_below(adoption, fd, depth + 1);
  close(fd);
  return result;
}

static int adopt_below(struct adoption *adoption, int dir, int depth) {
  errno = 0;
  if (depth > MAX_DEPTH) return failed(adoption->failure, "adopt", "the tree is deeper than %d directories", MAX_DEPTH);
  int readable = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = readable < 0 ? NULL : fdopendir(readable);
  if (entries == NULL) {
    if (readable >= 0) close(readable);
    return failed(adoption->failure, "adopt", "cannot read a directory");
  }
  int result = 0;
  for (struct dirent *entry; result == 0 && (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
      result = adopt_entry(adoption, dirfd(entries), entry->d_name, depth);
  }
  closedir(entries);
  return result;
}

long adopt_tree(const struct serve *serve, int dir, struct failure *failure) {
  struct adoption adoption = {.serve = serve, .failure = failure};
  struct rlimit files = {2 * MAX_DEPTH + SPARE_DESCRIPTORS, 2 * MAX_DEPTH + SPARE_DESCRIPTORS}; /* two a level */
  struct stat status;
  if (setrlimit(RLIMIT_NOFILE, &files) != 0) return failed(failure, "adopt", "cannot raise the number of open files");
  if (fstat(dir, &status) != 0) return failed(failure, "adopt", "cannot look at it");
  if (take_over(&adoption, dir, &status, ".") != 0) return -1;
  if (S_ISDIR(status.st_mode) && adopt_below(&adoption, dir, 0) != 0) return -1;
  return adoption.count;
}
