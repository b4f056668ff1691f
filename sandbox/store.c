/* Images that clients of `serve` have unpacked: whole or not at all, in the first --images, which is root's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-archive.h"

#define STEP "unpack"
#define DRAFT ".draft-"

/* From here on a pipe has a reader, and its end is that of the client's writers. */
static void tell_opened(int client) {
  struct json json;
  json_begin(&json);
  json_string(&json, "event", "opened");
  json_send(&json, client);
}

/* A file, or a named pipe that the client holds open until it hears of us. */
static int open_archive(const struct serve *serve, const char *path, struct failure *failure) {
  char again[40];
  struct stat status;
  int found = shares_open(&serve->shares, path, O_PATH);
  bool shared = found >= 0 || errno != EPERM;
  if (!shared) found = shares_open(&serve->images, path, O_PATH);
  if (found < 0) {
    const char *why = shares_why_not(errno);
    errno = 0;
    return failed(failure, STEP, "%.300s: %s", path, why);
  }
  int fd = -1;
  errno = 0;
  if (fstat(found, &status) == 0 && (!shared || status.st_uid == serve->client_uid) &&
      (S_ISREG(status.st_mode) || S_ISFIFO(status.st_mode))) {
    snprintf(again, sizeof again, "/proc/self/fd/%d", found);
    fd = open(again, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  }
  close(found);
  if (fd >= 0 && fcntl(fd, F_SETFL, 0) == 0) return fd;
  if (fd >= 0) close(fd);
  return failed(failure, STEP, "%.300s is no file or pipe of the client's, or of the images", path);
}

static int unpack_draft(const struct unpack_plan *plan, int store, const char *draft, int archive, int client,
                        struct unpack_report *report, struct failure *failure) {
  if (mkdirat(store, draft, 0755) != 0) return failed(failure, STEP, "cannot make a directory among the images");
  int into = openat(store, draft, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int result = into < 0 ? failed(failure, STEP, "cannot open the directory made")
                        : unpack(plan, into, archive, client, report, failure);
  if (into >= 0) close(into);
  return result;
}

/* Another may have been faster with the same image. */
static int place(int store, const char *draft, const char *name, struct failure *failure) {
  if (renameat2(store, draft, store, name, RENAME_NOREPLACE) == 0) return 0;
  return errno == EEXIST ? tree_remove(store, draft) : failed(failure, STEP, "cannot name the image %s", name);
}

int store_unpack(const struct serve *serve, int client, const char *path, const char *name, bool is_layer,
                 struct unpack_report *report, struct failure *failure) {
  const struct unpack_plan plan = {
      .is_layer = is_layer, .max_bytes = DEFAULT_ARCHIVE_BYTES, .max_files = DEFAULT_ARCHIVE_FILES};
  struct stat there;
  char draft[128];
  uint64_t random;
  errno = 0;
  if (!is_name(name)) return failed(failure, STEP, "%.100s is no name for an image", name);
  if (serve->images.count == 0) return failed(failure, STEP, "serve was started without --images");
  int store = shares_open(&serve->images, serve->images.at[0].path, O_RDONLY | O_DIRECTORY);
  if (store < 0) return failed(failure, STEP, "cannot open %s", serve->images.at[0].path);
  if (fstatat(store, name, &there, AT_SYMLINK_NOFOLLOW) == 0) return 0;
  int archive = open_archive(serve, path, failure);
  if (archive < 0 || getrandom(&random, sizeof random, 0) != sizeof random)
    return failed(failure, STEP, "there is no randomness");
  tell_opened(client);
  snprintf(draft, sizeof draft, DRAFT "%s-%016llx", name, (unsigned long long)random);
  if (unpack_draft(&plan, store, draft, archive, client, report, failure) == 0)
    return place(store, draft, name, failure);
  (void)unlinkat(store, draft, AT_REMOVEDIR);
  return -1;
}

/* First out of its place, so that half of it is never taken for an image; what is left when we die is collected. */
static int drop(int store, const char *name) {
  char draft[128];
  uint64_t random;
  int image = openat(store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int removed = image < 0 && errno == ENOENT ? 0 : -1;
  if (image >= 0 && flock(image, LOCK_EX | LOCK_NB) == 0 && getrandom(&random, sizeof random, 0) == sizeof random) {
    snprintf(draft, sizeof draft, DRAFT "%s-%016llx", name, (unsigned long long)random);
    if (renameat2(store, name, store, draft, RENAME_NOREPLACE) == 0 && tree_remove(store, draft) == 0) removed = 1;
  }
  if (image >= 0) close(image);
  return removed;
}

int store_drop(const struct serve *serve, const char *name, struct failure *failure) {
  errno = 0;
  if (!is_name(name)) return failed(failure, "drop", "%.100s is no name for an image", name);
  if (serve->images.count == 0) return failed(failure, "drop", "serve was started without --images");
  int store = shares_open(&serve->images, serve->images.at[0].path, O_RDONLY | O_DIRECTORY);
  if (store < 0) return failed(failure, "drop", "cannot open %s", serve->images.at[0].path);
  int removed = drop(store, name);
  if (removed < 0) (void)failed(failure, "drop", "cannot remove the image %s", name);
  close(store);
  return removed;
}

/* 1 removed, 0 left alone: whoever unpacks has it locked. */
static int collect_one(int store, const char *name) {
  int draft = openat(store, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int removed = draft >= 0 && flock(draft, LOCK_EX | LOCK_NB) == 0 && tree_remove(store, name) == 0;
  if (draft >= 0) close(draft);
  return removed;
}

int store_collect(const struct serve *serve, struct failure *failure) {
  if (serve->images.count == 0) return 0;
  int store = shares_open(&serve->images, serve->images.at[0].path, O_RDONLY | O_DIRECTORY);
  DIR *entries = store < 0 ? NULL : fdopendir(store);
  if (entries == NULL) {
    if (store >= 0) close(store);
    return failed(failure, "gc", "cannot read %s", serve->images.at[0].path);
  }
  int removed = 0;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strncmp(entry->d_name, DRAFT, strlen(DRAFT)) == 0) removed += collect_one(store, entry->d_name);
  }
  closedir(entries);
  return removed;
}
