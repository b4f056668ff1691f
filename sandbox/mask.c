/* What of the host is hidden when the host is the image. Root inside reads all that root outside may read,
 * so what is secret must not be there at all: a layer of whiteouts and empty directories above the host's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "mask"
enum { MAX_USERS_BYTES = 65536 };

/* By the directory they are in; a name may end in `*`. `emptied` directories stay, with their owner and mode,
 * for programs expect them; what is `removed` is absent, and so is an emptied one that is no directory.
 * What is mounted below / (/proc, /sys, other disks) is not in the image, and /run and /tmp are mounted anew. */
// clang-format off
static const struct secrets {
  const char *in;
  const char *emptied[16], *removed[64];
} SECRETS[] = {
    {"", {"root", "home", "mnt"}, {"boot", "lost+found", "media", "snap", "srv", "swap*", ".dockerenv"}},
    {"etc",
     {NULL},
     {/* people */ "shadow*", "gshadow*", "environment.d", "netrc", "msmtprc",
      /* keys of the machine and of its networks */ "letsencrypt", "krb5.keytab", "wireguard", "openvpn", "ipsec*",
      "swanctl", "netplan", "tailscale", "ppp", "machine-id", "credstore*", "crypttab", "fstab", "exports",
      /* credentials of services */ "cloud", "aws", "boto.cfg", "google", "azure", "kubernetes", "rancher", "docker",
      "vault*", "consul*", "nats*", "toroid*", "buildkite-agent", "gitlab-runner", "cron*", "postfix", "exim4", "sssd",
      "samba", "grafana", "mysql", "postgresql", "rabbitmq", "redis"}},
    {"etc/apt", {NULL}, {"auth.conf*"}},
    {"etc/containers", {NULL}, {"auth.json"}},
    {"etc/NetworkManager", {NULL}, {"system-connections"}},
    {"etc/pki/tls", {NULL}, {"private"}},
    {"etc/security", {NULL}, {"opasswd"}},
    {"etc/ssh", {NULL}, {"ssh_host_*"}},
    {"etc/ssl", {NULL}, {"private"}},
    {"etc/systemd", {NULL}, {"system", "user"}},
    {"var", {"tmp", "log"}, {"mail", "spool", "backups", "www", "snap", "crash"}},
    {"var/cache", {NULL}, {"private"}},
    {"var/lib",
     {NULL},
     {"amazon",    "buildkite-agent", "cloud",    "cni",            "consul",   "containerd", "containers",
      "dhcp*",     "docker",          "etcd",     "gitlab-runner",  "google",   "incus",      "jenkins",
      "jetstream", "kubelet",         "libvirt",  "lxc*",           "lxd",      "machines",   "mongo*",
      "mysql",     "nats*",           "polkit-1", "NetworkManager", "portables", "postgresql", "private",
      "rabbitmq",  "rancher",         "redis",    "samba",          "sss",      "sudo",       "systemd",
      "tailscale", "toroid*",         "vault",    "waagent"}},
};
// clang-format on

struct masking {
  int lower; /* the image; the layer is the working directory */
  uid_t base, count;
  const char *opaque; /* the attribute of a directory that hides the one below it */
  struct failure *failure;
};

const char *opaque_attribute(bool rootless) {
  return rootless ? "user.overlay.opaque" : "trusted.overlay.opaque"; /* what is trusted is the host's root's alone */
}

static uid_t shown_as(const struct masking *masking, uid_t owner) {
  const uid_t nobody = masking->count == UID_COUNT ? UID_COUNT - 2 : 0;
  return masking->base + (owner < masking->count ? owner : nobody);
}

static int own(struct masking *masking, const char *path, const struct stat *like) {
  return lchown(path, shown_as(masking, like->st_uid), shown_as(masking, like->st_gid));
}

/* The layer's directory wins over the one below it, so it has to look the same. Our umask is 0. */
static int copy_directory(struct masking *masking, const char *path, const struct stat *like) {
  if (mkdir(path, like->st_mode & 07777) != 0) return errno == EEXIST ? 0 : -1;
  if (own(masking, path, like) != 0) return -1;
  return (like->st_mode & (S_ISUID | S_ISGID)) == 0 ? 0 : chmod(path, like->st_mode & 07777);
}

enum way { WAY_FAILED = -1, WAY_MADE, WAY_HIDDEN };

/* The directories above `path`, unless the layer shows nothing below one of them already: an opaque one, or a whiteout.
 */
static enum way copy_parents(struct masking *masking, const char *path) {
  char parent[PATH_MAX], set;
  for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    struct stat there, like;
    snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    if (lstat(parent, &there) == 0) {
      if (!S_ISDIR(there.st_mode) || lgetxattr(parent, masking->opaque, &set, 1) == 1) return WAY_HIDDEN;
      continue;
    }
    if (fstatat(masking->lower, parent, &like, AT_SYMLINK_NOFOLLOW) != 0) return WAY_FAILED;
    errno = ENOTDIR;
    if (!S_ISDIR(like.st_mode) || copy_directory(masking, parent, &like) != 0) return WAY_FAILED;
  }
  return WAY_MADE;
}

#define WHITEOUT ".absent"

/* One whiteout under many names: a link is made in half the time of a node. */
static int make_absent(struct masking *masking, const char *path) {
  if (link(WHITEOUT, path) == 0 || errno == EEXIST) return 0;
  return failed(masking->failure, STEP, "cannot hide /%s", path);
}

static int make_empty(struct masking *masking, const char *path) {
  struct stat like;
  if (fstatat(masking->lower, path, &like, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return 0; /* what is not in the image needs no mask */
    return failed(masking->failure, STEP, "cannot look at /%s", path);
  }
  if (!S_ISDIR(like.st_mode)) return make_absent(masking, path);
  /* a mask of something in it may have made it: of that nothing is to be seen either */
  if (tree_remove(AT_FDCWD, path) != 0) return failed(masking->failure, STEP, "cannot empty /%s", path);
  if (copy_directory(masking, path, &like) == 0 && lsetxattr(path, masking->opaque, "y", 1, 0) == 0) return 0;
  return failed(masking->failure, STEP, "cannot hide /%s", path);
}

/* `path` has no leading slash. */
static int hide(struct masking *masking, const char *path) {
  if (faccessat(masking->lower, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && (errno == ENOENT || errno == ENOTDIR))
    return 0;
  enum way way = copy_parents(masking, path);
  if (way == WAY_FAILED) return failed(masking->failure, STEP, "cannot make the way to /%s", path);
  return way == WAY_HIDDEN ? 0 : make_empty(masking, path);
}

static bool is_among(const char *const *names, const char *name) {
  for (; *names != NULL; names++) {
    if ((*names)[0] != name[0]) continue;
    size_t length = strlen(*names);
    bool pattern = (*names)[length - 1] == '*';
    if (pattern ? strncmp(*names, name, length - 1) == 0 : strcmp(*names, name) == 0) return true;
  }
  return false;
}

static int hide_secret(struct masking *masking, const struct secrets *secrets, const char *name) {
  bool emptied = is_among(secrets->emptied, name);
  char path[PATH_MAX];
  if (!emptied && !is_among(secrets->removed, name)) return 0;
  snprintf(path, sizeof path, "%s%s%s", secrets->in, secrets->in[0] == '\0' ? "" : "/", name);
  if (copy_parents(masking, path) == WAY_FAILED)
    return failed(masking->failure, STEP, "cannot make the way to /%s", path);
  return emptied ? make_empty(masking, path) : make_absent(masking, path);
}

/* What is there is read once and compared with the table: less work than to ask for each name of it. */
static int hide_secrets(struct masking *masking, const struct secrets *secrets) {
  int fd = openat(masking->lower, secrets->in[0] == '\0' ? "." : secrets->in,
                  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return 0;
  if (fd < 0) return failed(masking->failure, STEP, "cannot open /%s", secrets->in);
  _Alignas(struct dirent64) char entries[32768];
  int result = 0;
  ssize_t got;
  while (result == 0 && (got = getdents64(fd, entries, sizeof entries)) > 0) {
    for (ssize_t at = 0; result == 0 && at < got;) {
      const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
      result = hide_secret(masking, secrets, entry->d_name);
      at += entry->d_reclen;
    }
  }
  close(fd);
  return result;
}

/* Without /etc/shadow neither su nor useradd work, so there is one: the host's users, and no password opens. */
static int make_shadow(struct masking *masking) {
  static const char *const path = "etc/shadow", *const rest = ":*:19000:0:99999:7:::\n";
  static char users[MAX_USERS_BYTES], shadow[3 * MAX_USERS_BYTES]; /* each line has six colons to start with */
  struct stat like;
  if (fstatat(masking->lower, path, &like, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : -1;
  if (read_text(masking->lower, "etc/passwd", users, sizeof users) < 0) return errno == ENOENT ? 0 : -1;
  size_t used = 0;
  for (char *line = users, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
    size_t name = strcspn(line, ":\n");
    if (line[name] != ':' || used + name + strlen(rest) >= sizeof shadow) continue;
    used += (size_t)sprintf(shadow + used, "%.*s%s", (int)name, line, rest);
  }
  if (unlink(path) != 0 && errno != ENOENT) return -1;
  int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
  bool written = out >= 0 && write(out, shadow, used) == (ssize_t)used;
  if (out >= 0) close(out);
  return written ? own(masking, path, &like) : -1;
}

/* The caller's paths are paths of the host: a link on the way (/var/run) is followed before it is hidden. */
static int hide_path_of_host(struct masking *masking, const char *path) {
  char real[PATH_MAX];
  if (realpath(path, real) == NULL) {
    if (errno == ENOENT || errno == ENOTDIR) return 0;
    return failed(masking->failure, STEP, "cannot resolve %s", path);
  }
  return real[1] == '\0' ? 0 : hide(masking, real + 1);
}

static int hide_host(struct masking *masking, const struct plan *plan) {
  for (size_t i = 0; i < sizeof SECRETS / sizeof SECRETS[0]; i++) {
    if (hide_secrets(masking, &SECRETS[i]) != 0) return -1;
  }
  if (make_shadow(masking) != 0) return failed(masking->failure, STEP, "cannot make an /etc/shadow without passwords");
  for (size_t i = 0; i < plan->masks.count; i++) {
    if (hide_path_of_host(masking, plan->masks.at[i]) != 0) return -1;
  }
  return hide_path_of_host(masking, plan->scratch);
}

int mask_build(int layer, int lower, bool host, const struct plan *plan, uint64_t uid_base, struct failure *failure) {
  struct masking masking = {.lower = lower,
                            .base = (uid_t)uid_base,
                            .count = (uid_t)plan->uid_count,
                            .opaque = opaque_attribute(plan->rootless),
                            .failure = failure};
  struct stat root;
  if (fstat(lower, &root) != 0 || fchdir(layer) != 0 || own(&masking, ".", &root) != 0 ||
      chmod(".", root.st_mode & 07777) != 0 || (mknod(WHITEOUT, S_IFCHR, makedev(0, 0)) != 0 && errno != EEXIST))
    return failed(failure, STEP, "cannot make the layer of masks");
  if (host) return hide_host(&masking, plan);
  for (size_t i = 0; i < plan->masks.count; i++) {
    if (hide(&masking, plan->masks.at[i] + 1) != 0) return -1;
  }
  return 0;
}
