/* A service manager gives a unit a cgroup of its own to divide (systemd's Delegate=yes), and starts the unit's
 * processes in it; but one that passes controllers on may have no processes. So who is in it moves down into a leaf
 * first. What is not delegated to us is left alone. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "cgroup"
/* Not one of our `toroid-…`, which gc would take for a run's. */
#define LEAF "supervisor"
enum { ROUNDS = 100 };

enum delegation delegation_of(const char *own, bool is_delegated, bool is_parent_delegated) {
  const char *name = strrchr(own, '/');
  if (is_delegated) return DELEGATED_TO_US;
  if (name != NULL && strcmp(name, "/" LEAF) == 0 && is_parent_delegated) return DELEGATED_ABOVE;
  return NOT_DELEGATED;
}

/* As systemd marks it: the second since 251. */
static bool is_marked(const char *path) {
  char value[8] = "";
  return (getxattr(path, "trusted.delegate", value, sizeof value - 1) == 1 ||
          getxattr(path, "user.delegate", value, sizeof value - 1) == 1) &&
         value[0] == '1';
}

static bool is_same(const char *one, const char *other) {
  struct stat a, b;
  return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The root of all has no type. What a cgroup namespace shows as the root has the one that it has outside. */
static bool is_root_of_namespace(const char *mount) {
  char type[PATH_MAX];
  snprintf(type, sizeof type, "%s/cgroup.type", mount);
  return access(type, F_OK) == 0;
}

/* Where we are, as a path below the mount; false where that cannot be said. */
static bool own_cgroup(char *into, size_t room) {
  char text[8192];
  const char *mount = cgroup_mount();
  if (mount == NULL || read_text(AT_FDCWD, "/proc/self/cgroup", text, sizeof text) <= 0) return false;
  for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
    *end = '\0';
    if (strncmp(line, "0::/", 4) != 0) continue;
    if (strncmp(line, "0::/..", 6) == 0) return false; /* outside of our cgroup namespace */
    if (line[4] == '\0') return is_root_of_namespace(mount) && snprintf(into, room, "%s", mount) < (int)room;
    return snprintf(into, room, "%s%s", mount, line + 3) < (int)room;
  }
  return false;
}

/* Until none is left: whoever forks meanwhile has its child in it too. */
static int move_down(const char *base, struct failure *failure) {
  char leaf[PATH_MAX], procs[4096];
  int dir = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (dir < 0) return failed(failure, STEP, "cannot open %.300s", base);
  snprintf(leaf, sizeof leaf, LEAF "/cgroup.procs");
  int result = mkdirat(dir, LEAF, 0755) == 0 || errno == EEXIST ? 1 : -1;
  for (int round = 0; result == 1 && round < ROUNDS; round++) {
    if (read_text(dir, "cgroup.procs", procs, sizeof procs) <= 0) result = 0;
    for (char *pid = procs, *end; result == 1 && (end = strchr(pid, '\n')) != NULL; pid = end + 1) {
      *end = '\0';
      if (!write_text(dir, leaf, pid) && errno != ESRCH) result = -1;
    }
  }
  int error = result == 1 ? EBUSY : errno;
  close(dir);
  errno = error;
  return result == 0 ? 0 : failed(failure, STEP, "the processes in %.300s cannot be moved to " LEAF " in it", base);
}

int delegation_take(const char *given, char *base, size_t room, struct failure *failure) {
  char own[PATH_MAX], parent[PATH_MAX];
  if (!own_cgroup(own, sizeof own)) return 0;
  if (given != NULL) return is_same(given, own) ? move_down(own, failure) : 0;
  snprintf(parent, sizeof parent, "%s", own);
  *strrchr(parent, '/') = '\0';
  switch (delegation_of(own, is_marked(own), is_marked(parent))) {
  case NOT_DELEGATED: return 0;
  case DELEGATED_ABOVE: snprintf(base, room, "%s", parent); return 1;
  case DELEGATED_TO_US:
    if (move_down(own, failure) != 0) return -1;
    snprintf(base, room, "%s", own);
    return 1;
  }
  return 0;
}
