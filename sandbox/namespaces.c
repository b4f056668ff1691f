/* The namespaces of a pool: made in a child that ends, and pinned by files in the state directory. */
#include <linux/mount.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "network.h"

#define STEP "net"

static const struct {
  const char *path, *value;
  bool must;
} KNOBS[] = {
    {"/proc/sys/net/ipv4/ping_group_range", "0 2147483647", true},
    {"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0", true},
    {"/proc/sys/net/ipv4/ip_forward", "0", true}, /* a new namespace has the host's */
    {"/proc/sys/net/ipv4/tcp_no_metrics_save", "1", false},
    {"/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", false}, /* for the link that comes; lo keeps ::1 */
};

/* In a child: makes a namespace, sets its knobs and pins it to the file. */
static int make_namespace(int target, struct failure *failure) {
  if (unshare(CLONE_NEWNET) != 0) return failed(failure, STEP, "cannot make a network namespace");
  for (size_t i = 0; i < sizeof KNOBS / sizeof KNOBS[0]; i++) {
    if (!write_text(AT_FDCWD, KNOBS[i].path, KNOBS[i].value) && KNOBS[i].must)
      return failed(failure, STEP, "cannot write %s", KNOBS[i].path);
  }
  int own = sys_open_tree(AT_FDCWD, "/proc/self/ns/net", OPEN_TREE_CLONE);
  if (own >= 0 && sys_move_mount(own, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0) return 0;
  return failed(failure, STEP, "cannot pin a network namespace");
}

int pin_namespace(int state, const char *name, struct failure *failure) {
  int target = openat(state, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  struct failure *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (target < 0 || shared == MAP_FAILED) return failed(failure, STEP, "cannot make %s in the state directory", name);
  pid_t pid = fork();
  if (pid == 0) _exit(make_namespace(target, shared) == 0 ? 0 : 1);
  int status = -1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (status != 0 && shared->step[0] != '\0') *failure = *shared;
  (void)munmap(shared, sizeof *shared);
  close(target);
  if (status != 0) return failed(failure, STEP, "cannot make a network namespace");
  int fd = openat(state, name, O_RDONLY);
  return fd >= 0 ? fd : failed(failure, STEP, "cannot open %s in the state directory", name);
}

int unpin_namespaces(const struct pool *pool, int state, struct failure *failure) {
  int removed = 0;
  for (uint64_t i = 0; i < MAX_SLOTS; i++) {
    char name[16], path[PATH_MAX + 24];
    snprintf(name, sizeof name, "%llu", (unsigned long long)i);
    if (faccessat(state, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) continue;
    snprintf(path, sizeof path, "%s/%s", pool->state, name);
    while (sys_umount(path, 2 | 8 /* MNT_DETACH | UMOUNT_NOFOLLOW */) == 0) continue;
    if (unlinkat(state, name, 0) != 0) return failed(failure, STEP, "cannot remove %s", path);
    removed++;
  }
  return removed;
}

bool is_any_namespace_locked(int state) {
  for (uint64_t i = 0; i < MAX_SLOTS; i++) {
    char name[16];
    snprintf(name, sizeof name, "%llu", (unsigned long long)i);
    int fd = openat(state, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) continue;
    bool used = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    if (used) return true;
  }
  return false;
}
