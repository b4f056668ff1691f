/* Pid 1 before it is pid 1: builds the new root from within its namespaces, then puts up the walls.
 * WALLS is the argument that the sandbox holds; each wall stands on those above it, and any that cannot be
 * put up ends the run before foreign code has begun. */
#include <linux/mount.h>
#include <linux/openat2.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define DEFAULT_TMP_BYTES (2ull << 30)
#define DEFAULT_RUN_BYTES (64ull << 20)
#define DEFAULT_SHM_BYTES (1ull << 30)
enum { PAGE = 4096 };

static int attach(struct inside *inside, const char *step, int mount, int target) {
  int result = sys_move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
  int error = errno;
  close(target);
  errno = error;
  return result == 0 ? 0 : failed(&inside->failure, step, "cannot attach a mount");
}

/* A supervisor that died before we could ask to die with it shows as the end of the socket. */
static void await(const struct inside *inside, enum message_kind kind, int *fds, size_t *count) {
  struct message message;
  if (message_receive(inside->supervisor, &message, fds, count) != 1 || message.kind != kind) _exit(EXIT_OURS);
}

/* Dies with the supervisor. Set once more after the uids change, which clears it. */
static int setup_death_signal(struct inside *inside) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) return 0;
  return failed(&inside->failure, "death-signal", "cannot ask to die with the supervisor");
}

/* Nothing we mount reaches the host's namespace. */
static int setup_propagation(struct inside *inside) {
  if (sys_make_private("/") == 0) return 0;
  return failed(&inside->failure, "propagation", "cannot make the mounts private");
}

/* A file in it takes the kernel's memory, an empty one too: as many as it has pages. */
static int make_tmpfs(struct inside *inside, const char *step, const char *mode, uint64_t bytes) {
  char size[24], files[24];
  snprintf(size, sizeof size, "%llu", (unsigned long long)bytes);
  snprintf(files, sizeof files, "%llu", (unsigned long long)(bytes + PAGE - 1) / PAGE);
  const struct fs_option options[] = {{"source", "tmpfs"}, {"mode", mode}, {"size", size}, {"nr_inodes", files},
                                      {"uid", "0"},        {"gid", "0"},   {NULL, NULL}};
  return fs_make("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, &inside->failure, step);
}

static int make_proc(struct inside *inside) {
  const struct fs_option options[] = {{"source", "proc"}, {NULL, NULL}};
  return fs_make("proc", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &inside->failure, "proc");
}

static int make_pts(struct inside *inside) {
  const char *tty = inside->plan->uid_count > 5 ? "5" : "0"; /* the group of terminals */
  const struct fs_option options[] = {{"source", "devpts"}, {"newinstance", NULL}, {"ptmxmode", "0666"},
                                      {"mode", "0620"},     {"gid", tty},          {NULL, NULL}};
  return fs_make("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, &inside->failure, "dev");
}

static bool caller_mounts(const struct plan *plan, const char *path) {
  for (size_t i = 0; i < plan->op_count; i++) {
    if (strcmp(plan->ops[i].target, path) == 0) return true;
  }
  return false;
}

/* All that needs no root to be made: the time in which the supervisor makes one. */
static int setup_filesystems(struct inside *inside) {
  inside->tmp = inside->run = -1;
  inside->proc = make_proc(inside);
  inside->pts = inside->proc < 0 ? -1 : make_pts(inside);
  inside->shm = inside->pts < 0 ? -1 : make_tmpfs(inside, "dev", "1777", DEFAULT_SHM_BYTES);
  if (inside->shm < 0) return -1;
  bool tmp = !caller_mounts(inside->plan, "/tmp"), run = !caller_mounts(inside->plan, "/run");
  if (tmp && (inside->tmp = make_tmpfs(inside, "tmp", "1777", DEFAULT_TMP_BYTES)) < 0) return -1;
  return run && (inside->run = make_tmpfs(inside, "tmp", "0755", DEFAULT_RUN_BYTES)) < 0 ? -1 : 0;
}

/* Before identity, which waits for the supervisor. Other networks were entered before we were made. */
static int setup_network(struct inside *inside) {
  const struct plan *plan = inside->plan;
  return plan->network == NETWORK_NONE && plan->alone_netns <= 0 ? network_alone(&inside->failure) : 0;
}

/* The overlay is attached where the caller's scratch is, the one place we know to be a directory of ours. */
static int setup_root(struct inside *inside) {
  int fds[MAX_OPS + 2];
  size_t count = sizeof fds / sizeof fds[0];
  await(inside, MESSAGE_ROOT, fds, &count);
  if (count < 2) _exit(EXIT_OURS);
  inside->root = fds[0];
  inside->dev = fds[1];
  inside->bind_count = count - 2;
  memcpy(inside->binds, fds + 2, inside->bind_count * sizeof fds[0]);
  return attach(inside, "root", inside->root, inside->here);
}

/* From here on we are uid 0 of 65,536 inside and nobody outside. */
static int setup_identity(struct inside *inside) {
  size_t none = 0;
  await(inside, MESSAGE_MAPS, NULL, &none);
  /* with one uid alone the kernel has us keep the caller's groups */
  if ((inside->plan->uid_count > 1 && setgroups(0, NULL) != 0) || setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
    return failed(&inside->failure, "identity", "cannot become uid 0 of the sandbox");
  return setup_death_signal(inside);
}

/* After we were placed: /proc/self/cgroup then says "/" and nothing of the host. */
static int setup_cgroup_namespace(struct inside *inside) {
  if (unshare(CLONE_NEWCGROUP) == 0) return 0;
  return failed(&inside->failure, "cgroup-namespace", "cannot make one");
}

static int setup_hostname(struct inside *inside) {
  const char *name = inside->plan->hostname;
  if (sethostname(name, strlen(name)) == 0 && setdomainname("", 0) == 0) return 0;
  return failed(&inside->failure, "hostname", "cannot set %s", name);
}

/* A part of /proc as a mount of its own over itself: read-only, or hidden behind /dev/null. */
static int mask_proc(struct inside *inside, int proc, const char *name, const char *over) {
  int target = openat(proc, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (target < 0) return errno == ENOENT ? 0 : failed(&inside->failure, "proc", "cannot open /proc/%s", name);
  int source = over == NULL ? sys_open_tree(target, "", OPEN_TREE_CLONE | AT_EMPTY_PATH)
                            : sys_open_tree(inside->root, over, OPEN_TREE_CLONE);
  struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC};
  if (source < 0 || sys_mount_setattr(source, "", AT_EMPTY_PATH, &attr) != 0)
    return failed(&inside->failure, "proc", "cannot close /proc/%s", name);
  int result = attach(inside, "proc", source, target);
  close(source);
  return result;
}

/* After dev: the masks are binds of its null device. Before pivot: the kernel wants to see the old /proc. */
static int setup_proc(struct inside *inside) {
  static const char *const HIDDEN[] = {"kallsyms", "keys"}; /* the others worth hiding are root's outside: EACCES */
  int target = plain_directory(inside->root, "proc", &inside->failure, "proc"), proc = inside->proc;
  if (target < 0 || attach(inside, "proc", proc, target) != 0) return -1;
  for (size_t i = 0; i < sizeof HIDDEN / sizeof HIDDEN[0]; i++) {
    if (mask_proc(inside, proc, HIDDEN[i], "dev/null") != 0) return -1;
  }
  if (mask_proc(inside, proc, "sys", NULL) != 0) return -1;
  close(proc);
  return 0;
}

static int setup_dev(struct inside *inside) {
  int target = plain_directory(inside->root, "dev", &inside->failure, "dev");
  if (target < 0 || attach(inside, "dev", inside->dev, target) != 0) return -1;
  if (inside->plan->rootless && dev_bind(inside->dev, &inside->failure) != 0) return -1;
  if (attach(inside, "dev", inside->pts, openat(inside->dev, "pts", O_PATH | O_CLOEXEC)) != 0) return -1;
  return attach(inside, "dev", inside->shm, openat(inside->dev, "shm", O_PATH | O_CLOEXEC));
}

static int attach_in_root(struct inside *inside, int mount, const char *name) {
  if (mount < 0) return 0;
  int target = plain_directory(inside->root, name, &inside->failure, "tmp");
  return target < 0 ? -1 : attach(inside, "tmp", mount, target);
}

static int setup_tmp(struct inside *inside) {
  return attach_in_root(inside, inside->tmp, "tmp") != 0 ? -1 : attach_in_root(inside, inside->run, "run");
}

/* In the order given, so that a later one may lie inside an earlier one. */
static int setup_mounts(struct inside *inside) {
  size_t next_bind = 0;
  for (size_t i = 0; i < inside->plan->op_count; i++) {
    const struct op *op = &inside->plan->ops[i];
    if (op->kind == OP_TMPFS) {
      int target = path_in_root(inside->root, op->target, true, &inside->failure, "mounts");
      int fs = target < 0 ? -1 : make_tmpfs(inside, "mounts", "1777", op->bytes == 0 ? DEFAULT_TMP_BYTES : op->bytes);
      if (fs < 0 || attach(inside, "mounts", fs, target) != 0) return -1;
      continue;
    }
    struct stat source;
    int bind = inside->binds[next_bind++];
    if (fstat(bind, &source) != 0) return failed(&inside->failure, "mounts", "cannot look at %s", op->source);
    int target = path_in_root(inside->root, op->target, S_ISDIR(source.st_mode), &inside->failure, "mounts");
    if (target < 0 || attach(inside, "mounts", bind, target) != 0) return -1;
  }
  return 0;
}

/* Instead of what the image has there, be it a link to elsewhere. */
static int write_in_etc(struct inside *inside, const char *step, const char *name, const char *text) {
  int etc = path_in_root(inside->root, "/etc", true, &inside->failure, step);
  if (etc < 0) return -1;
  (void)unlinkat(etc, name, 0);
  int fd = openat(etc, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  size_t length = strlen(text);
  bool written = fd >= 0 && write(fd, text, length) == (ssize_t)length;
  if (fd >= 0) close(fd);
  close(etc);
  return written ? 0 : failed(&inside->failure, step, "cannot write /etc/%s of the new root", name);
}

/* In the cgroup namespace made before: its root is the run's own, and what is above is not there. */
static int setup_cgroup(struct inside *inside) {
  const struct fs_option options[] = {{"source", "cgroup"}, {NULL, NULL}};
  if (!inside->plan->cgroup_inside) return 0;
  int target = path_in_root(inside->root, MOUNTPOINT_OF_CGROUP2, true, &inside->failure, "cgroup");
  int cgroup = target < 0 ? -1
                          : fs_make("cgroup2", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
                                    &inside->failure, "cgroup");
  if (cgroup < 0 || attach(inside, "cgroup", cgroup, target) != 0) return -1;
  close(cgroup);
  return 0;
}

/* On a slot's network the pool's resolvers answer, on the host's network the host's; the image's own file is somebody
 * else's, or a link into a /run that is not here. */
static int setup_resolver(struct inside *inside) {
  const struct plan *plan = inside->plan;
  if (plan->network == NETWORK_NONE || plan->resolver[0] == '\0' || caller_mounts(plan, "/etc/resolv.conf")) return 0;
  const uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  int there = sys_openat2(inside->root, "etc/resolv.conf", O_PATH, resolve);
  if (there >= 0) close(there);
  if (there >= 0 && plan->image_is_host && plan->network == NETWORK_HOST) return 0;
  return write_in_etc(inside, "resolver", "resolv.conf", plan->resolver);
}

/* Who has an allow list asks no resolver: the names on it are here. Instead of the image's file, which may know them
 * differently. */
static int setup_hosts(struct inside *inside) {
  const struct plan *plan = inside->plan;
  if (plan->hosts == NULL || caller_mounts(plan, "/etc/hosts")) return 0;
  return write_in_etc(inside, "hosts", "hosts", plan->hosts);
}

/* The host's tree is gone from this namespace, not merely out of reach as with chroot. */
static int setup_pivot(struct inside *inside) {
  if (fchdir(inside->root) != 0 || sys_pivot_root(".", ".") != 0)
    return failed(&inside->failure, "pivot", "cannot make the new root the root");
  if (sys_umount(".", 2 /* MNT_DETACH */) != 0 || chdir("/") != 0)
    return failed(&inside->failure, "pivot", "cannot let the old root go");
  return 0;
}

/* One that some kernels lack and that a caller may leave out says by which name. All others stand, or nothing runs. */
static const struct {
  const char *name;
  int (*put_up)(struct inside *inside);
  enum weakness without;
} WALLS[] = {
    {"death-signal", setup_death_signal, WEAK_NEVER}, /* whatever happens to the supervisor, nothing outlives it */
    {"propagation", setup_propagation, WEAK_NEVER},   /* before the first mount */
    {"network", setup_network, WEAK_NEVER},
    {"identity", setup_identity, WEAK_NEVER}, /* all that follows is done as uid 0 inside */
    /* clone3 would root it at the supervisor's cgroup */
    {"cgroup-namespace", setup_cgroup_namespace, WEAK_NO_CGROUP_NAMESPACE},
    {"hostname", setup_hostname, WEAK_NEVER},
    {"rlimits", setup_rlimits, WEAK_NEVER},
    {"filesystems", setup_filesystems,
     WEAK_NEVER}, /* made here, attached below: the supervisor makes the root meanwhile */
    {"root", setup_root, WEAK_NEVER},
    {"dev", setup_dev, WEAK_NEVER},
    {"terminal", setup_terminal, WEAK_NEVER},
    {"proc", setup_proc, WEAK_NEVER},
    {"tmp", setup_tmp, WEAK_NEVER},
    {"mounts", setup_mounts, WEAK_NEVER}, /* resolved inside the new root, before anything runs in it */
    {"cgroup", setup_cgroup, WEAK_NEVER},
    {"resolver", setup_resolver, WEAK_NEVER},
    {"hosts", setup_hosts, WEAK_NEVER},
    {"pivot", setup_pivot, WEAK_NEVER},               /* the host's files are gone */
    {"descriptors", setup_descriptors, WEAK_NEVER},   /* the host's open files are gone */
    {"bounding-set", setup_bounding_set, WEAK_NEVER}, /* no exec gives back what a build has no use for */
    {"no-new-privs", setup_no_new_privs, WEAK_NEVER}, /* nor does a setuid file */
    {"anonymous", setup_anonymous, WEAK_NEVER},       /* pid 1's name says nothing of the host */
    {"not-dumpable", setup_not_dumpable, WEAK_NEVER}, /* pid 1 cannot be traced or read through /proc */
    {"seccomp", setup_seccomp, WEAK_NEVER},           /* now: the walls above need calls that it refuses */
    {"capabilities", setup_capabilities, WEAK_NEVER}, /* last: most of the walls above need those that go */
};

static void give_up(struct inside *inside, enum weakness without) {
  if (without != WEAK_NEVER) weak_hint(without, &inside->failure);
  struct message message = {.kind = MESSAGE_FAILED,
                            .status = EXIT_OURS,
                            .weak = without == WEAK_NEVER ? 0 : WEAK_BIT(without),
                            .failure = inside->failure,
                            .steps = inside->steps};
  (void)message_send(inside->supervisor, &message, NULL, 0);
  _exit(EXIT_OURS);
}

void inside_main(struct inside *inside) {
  inside->here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC); /* while our uid outside may still reach it */
  uint64_t mark = now_us();
  for (size_t i = 0; i < sizeof WALLS / sizeof WALLS[0]; i++) {
    if (WALLS[i].put_up(inside) != 0) {
      const enum weakness without = WALLS[i].without;
      if (without == WEAK_NEVER || (inside->plan->allow_weak & WEAK_BIT(without)) == 0) give_up(inside, without);
      inside->weak |= WEAK_BIT(without);
      inside->failure = (struct failure){0};
    }
    step_done(&inside->steps, WALLS[i].name, &mark);
  }
  init_main(inside);
}
