/* What the kernel, and a container around us, let a run have. Each is tried as the runs of this user would do it. */
#include <linux/mount.h>
#include <linux/sched.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* Of a range that nobody has: names are only compared. */
#define SOME_UID 1879048192ull

/* A user's runs are made in a user namespace of theirs. */
static int as_runs_are(const struct host *host, struct plan *plan, struct failure *failure) {
  *plan = (struct plan){.uid_count = UID_COUNT};
  return host->is_root ? 0 : rootless_enter(plan, failure);
}

LOOK(kernel) {
  (void)host, (void)check;
  struct utsname name;
  unsigned major = 0, minor = 0;
  bool known = uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2;
  bool is_new = major > 6 || (major == 6 && minor >= 1);
  found(finding, known && is_new ? WORKS : IS_WEAK, "The kernel is Linux %s", known ? name.release : "of no version");
}

static int wait_for(pid_t pid, const char *what, struct failure *failure) {
  int status = -1;
  if (pid < 0) return failed(failure, what, "the kernel makes no process in new namespaces");
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  errno = 0;
  return status == 0 ? 0 : failed(failure, what, "the process in new namespaces ended early");
}

static int try_namespaces(const void *context, struct failure *failure) {
  struct plan plan;
  struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS,
                            .exit_signal = SIGCHLD};
  if (as_runs_are(context, &plan, failure) != 0) return -1;
  pid_t pid = sys_clone3(&args);
  if (pid == 0) {
    /* where user namespaces are restricted they can be made, and give no right */
    const struct fs_option options[] = {{"source", "tmpfs"}, {NULL, NULL}};
    struct failure inner = {0};
    _exit(fs_make("tmpfs", options, 0, &inner, "namespaces") >= 0 ? 0 : 1);
  }
  return wait_for(pid, "namespaces", failure);
}

LOOK(namespaces) {
  (void)check;
  struct failure failure = {0};
  (void)attempt(try_namespaces, host, &failure);
  found_by(finding, &failure, LACKS, "User, pid, mount, ipc and uts namespaces can be made");
}

static int try_cgroup_namespace(const void *context, struct failure *failure) {
  struct plan plan;
  if (as_runs_are(context, &plan, failure) != 0) return -1;
  return unshare(CLONE_NEWCGROUP) == 0 ? 0 : failed(failure, "cgroup-namespace", "cannot make one");
}

LOOK(cgroup_namespace) {
  (void)check;
  struct failure failure = {0};
  if (attempt(try_cgroup_namespace, host, &failure) == 0)
    found(finding, WORKS, "Cgroup namespaces can be made");
  else
    found_weak(host, finding, WEAK_NO_CGROUP_NAMESPACE, "There are no cgroup namespaces");
}

static int try_subordinate_uids(const void *context, struct failure *failure) {
  struct plan plan;
  if (as_runs_are(context, &plan, failure) != 0) return -1;
  errno = 0;
  return plan.uid_count > 1 ? 0 : failed(failure, "single-uid", "%s", plan.why_single);
}

LOOK(subordinate_uids) {
  (void)check;
  struct failure failure = {0};
  if (attempt(try_subordinate_uids, host, &failure) == 0)
    found(finding, WORKS, "This user has subordinate uids and gids");
  else
    found_weak(host, finding, WEAK_SINGLE_UID, failure.text);
}

static int try_owners(const void *context, struct failure *failure) {
  const struct op op = {.kind = OP_BIND, .source = context};
  int userns = userns_for_owner(SOME_UID, 1, 1, failure);
  const struct scratch none = {0};
  return userns < 0 || bind_open(&op, userns, &none, failure) < 0 ? -1 : 0;
}

LOOK(owners) {
  (void)check;
  struct failure failure = {0};
  (void)attempt(try_owners, host->state, &failure);
  found_by(finding, &failure, LACKS, "The file system of the state directory shows owners mapped");
}

/* The host's root may lie on another file system, such as that of a container. */
LOOK(image_host) {
  (void)check;
  struct failure failure = {0};
  if (!host->is_root) {
    found(finding, IS_WEAK, "A user who is not root has no --image host");
    return;
  }
  (void)attempt(try_owners, "/", &failure);
  found_by(finding, &failure, IS_WEAK, "The host's root can be an image");
}

/* An overlay as a run makes it, in a scratch below the state directory. */
static int lay_over(const struct host *host, const char *dir, struct plan *plan, struct failure *failure) {
  static char lower[4200], place[4200];
  struct scratch scratch;
  struct steps steps = {.count = 0};
  snprintf(lower, sizeof lower, "%s/lower", dir);
  snprintf(place, sizeof place, "%s/scratch", dir);
  umask(0);
  if (mkdir(lower, 0755) != 0 || mkdir(place, 0700) != 0) return failed(failure, "scratch", "cannot make %s", place);
  plan->scratch = place;
  if (list_add(&plan->lowers, lower) != 0) return failed(failure, "scratch", "no memory");
  uint64_t base = host->is_root ? SOME_UID : 0;
  int userns = host->is_root ? userns_for_owner(base, 1, 1, failure) : -1;
  if (host->is_root && userns < 0) return -1;
  if (scratch_open(&scratch, plan, failure) != 0 || scratch_prepare(&scratch, base, failure) != 0) return -1;
  if (fchdir(scratch.fd) != 0) return failed(failure, "scratch", "cannot enter %s", place);
  int root = image_mount(plan, &scratch, userns, base, &steps, failure);
  if (root >= 0) close(root);
  return root < 0 ? -1 : 0;
}

struct overlay_attempt {
  const struct host *host;
  const char *dir;
};

/* Removed where it was made: what overlay keeps in there is closed to the user outside. */
static int try_overlay(const void *context, struct failure *failure) {
  const struct overlay_attempt *overlay = context;
  static struct plan plan;
  if (as_runs_are(overlay->host, &plan, failure) != 0) return -1;
  int result = lay_over(overlay->host, overlay->dir, &plan, failure);
  if (tree_remove(AT_FDCWD, overlay->dir) == 0 || result != 0) return result;
  return failed(failure, "scratch", "%s cannot be removed", overlay->dir);
}

LOOK(overlay) {
  (void)check;
  struct failure failure = {0};
  char dir[4096];
  snprintf(dir, sizeof dir, "%.4000s/toroid-check-XXXXXX", host->state);
  if (mkdtemp(dir) == NULL) {
    found(finding, LACKS, "No directory can be made in %s: %s", host->state, strerror(errno));
    return;
  }
  const struct overlay_attempt overlay = {host, dir};
  (void)attempt(try_overlay, &overlay, &failure);
  (void)rmdir(dir); /* where the attempt did not come to it */
  found_by(finding, &failure, LACKS, "An overlay can be laid over an image, and written in the state directory");
}

LOOK(detached_layers) {
  (void)host, (void)check;
  found(finding, WORKS, "%s",
        overlay_takes_detached() ? "Overlay takes layers that are attached nowhere"
                                 : "Overlay takes no layers that are attached nowhere, so each start makes a mount "
                                   "namespace more, in a fraction of a millisecond (they came with Linux 6.15)");
}

static int try_devices(const void *context, struct failure *failure) {
  const struct host *host = context;
  struct plan plan;
  if (as_runs_are(host, &plan, failure) != 0) return -1;
  int dev = host->is_root ? dev_make(0, true, failure) : open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (host->is_root && dev < 0) return -1;
  int null = openat(dev, "null", O_RDWR | O_CLOEXEC);
  if (null < 0) return failed(failure, "dev", "/dev/null cannot be opened");
  return host->is_root || sys_open_tree(dev, "null", OPEN_TREE_CLONE) >= 0
             ? 0
             : failed(failure, "dev", "the host's /dev/null cannot be shown elsewhere");
}

LOOK(devices) {
  (void)check;
  struct failure failure = {0};
  (void)attempt(try_devices, host, &failure);
  found_by(finding, &failure, LACKS, "Device nodes can be had and opened");
}

static int try_proc(const void *context, struct failure *failure) {
  struct plan plan;
  struct clone_args args = {.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS, .exit_signal = SIGCHLD};
  if (as_runs_are(context, &plan, failure) != 0) return -1;
  struct failure *shared = failure; /* memory that the child has too: attempt() sees to that */
  pid_t pid = sys_clone3(&args);
  if (pid == 0) {
    const struct fs_option options[] = {{"source", "proc"}, {NULL, NULL}};
    _exit(fs_make("proc", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, shared, "proc") < 0);
  }
  return wait_for(pid, "proc", failure);
}

LOOK(proc) {
  (void)check;
  struct failure failure = {0};
  (void)attempt(try_proc, host, &failure);
  found_by(finding, &failure, LACKS, "A /proc of its own can be mounted");
}

static int try_seccomp(const void *context, struct failure *failure) {
  (void)context;
  const struct plan plan = {.allow_suid = false};
  struct inside inside = {.plan = &plan, .supervisor = -1};
  if (setup_no_new_privs(&inside) == 0 && setup_seccomp(&inside) == 0) return 0;
  *failure = inside.failure;
  return -1;
}

LOOK(seccomp) {
  (void)host, (void)check;
  struct failure failure = {0};
  (void)attempt(try_seccomp, NULL, &failure);
  found_by(finding, &failure, LACKS, "The kernel takes the system call filter");
}

LOOK(pidfd) {
  (void)host, (void)check;
  struct failure failure = {0};
  int self = sys_pidfd_open(getpid());
  if (self < 0 || sys_pidfd_kill(self, 0) != 0) failed(&failure, "pidfd", "processes cannot be held by descriptor");
  if (self >= 0) close(self);
  found_by(finding, &failure, LACKS, "Processes can be held and ended by descriptor");
}

static int try_empty_network(const void *context, struct failure *failure) {
  struct plan plan;
  return as_runs_are(context, &plan, failure) == 0 ? network_alone(failure) : -1;
}

LOOK(empty_network) {
  (void)check;
  struct failure failure = {0};
  (void)attempt(try_empty_network, host, &failure);
  found_by(finding, &failure, LACKS, "A network with nothing but a loopback can be made");
}
