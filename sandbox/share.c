/* The directories that a client of `serve` may name things in. A name is followed from the directory down, over nothing
 * that could lead elsewhere: the client owns what is in there and may change it at any moment. */
#include <linux/openat2.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toroid-sandbox.h"

int shares_add(struct shares *shares, const char *path, struct failure *failure) {
  errno = 0;
  if (shares->count == MAX_SHARES) return failed(failure, "serve", "there are more than %d directories", MAX_SHARES);
  struct share *share = &shares->at[shares->count];
  share->path = realpath(path, NULL);
  share->fd = share->path == NULL ? -1 : open(share->path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (share->fd < 0) return failed(failure, "serve", "cannot open the directory %s", path);
  shares->count++;
  return 0;
}

/* What is behind `share` in `path`, "." for the share itself; NULL when it lies elsewhere. */
static const char *rest_below(const struct share *share, const char *path) {
  size_t length = strlen(share->path);
  if (strncmp(path, share->path, length) != 0) return NULL;
  const char *rest = path + length;
  if (*rest != '/' && *rest != '\0') return NULL;
  rest += strspn(rest, "/");
  return *rest == '\0' ? "." : rest;
}

int shares_open(const struct shares *shares, const char *path, uint64_t flags) {
  const uint64_t resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  for (size_t i = 0; i < shares->count; i++) {
    const char *rest = rest_below(&shares->at[i], path);
    if (rest != NULL) return sys_openat2(shares->at[i].fd, rest, flags, resolve);
  }
  errno = EPERM;
  return -1;
}

int shares_open_parent(const struct shares *shares, const char *path, const char **name) {
  char parent[4096];
  const char *slash = strrchr(path, '/');
  size_t length = slash == NULL ? 0 : (size_t)(slash - path);
  errno = EPERM;
  if (length == 0 || length >= sizeof parent) return -1;
  *name = slash + 1;
  errno = EINVAL;
  if (**name == '\0' || strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0) return -1;
  memcpy(parent, path, length);
  parent[length] = '\0';
  return shares_open(shares, parent, O_RDONLY | O_DIRECTORY);
}

const char *shares_why_not(int error) {
  if (error == EPERM) return "it lies in no directory that serve was given for this";
  if (error == EXDEV || error == ELOOP) return "it leads out of its directory, or over a link";
  return strerror(error);
}
