/* The walls that are about what a process may do, not about what it sees. */
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#if defined(__x86_64__)
#include "seccomp-x86_64.h"
#elif defined(__aarch64__)
#include "seccomp-aarch64.h"
#else
#error "there is no system call policy for this architecture: add its numbers to seccomp.policy"
#endif

/* What does not come from the caller is the same on every host. Hard limits cannot be raised again inside. */
int setup_rlimits(struct inside *inside) {
  const struct plan *plan = inside->plan;
  rlim_t processes = RLIM_INFINITY;
  if (plan->pids != 0 && inside->cgroup->limit[LIMIT_PIDS][0] != 'e') processes = plan->pids;
  const struct {
    __rlimit_resource_t resource;
    const char *name;
    struct rlimit limit;
  } LIMITS[] = {
      {RLIMIT_CORE, "core", {0, RLIM_INFINITY}},
      {RLIMIT_NOFILE, "nofile", {1024, 524288}},
      {RLIMIT_NPROC, "nproc", {processes, processes}},
      {RLIMIT_MEMLOCK, "memlock", {8 << 20, 8 << 20}},
      {RLIMIT_STACK, "stack", {8 << 20, RLIM_INFINITY}},
      {RLIMIT_RTPRIO, "rtprio", {0, 0}},
      {RLIMIT_NICE, "nice", {0, 0}},
      {RLIMIT_FSIZE, "fsize", {RLIM_INFINITY, RLIM_INFINITY}},
      {RLIMIT_CPU, "cpu", {RLIM_INFINITY, RLIM_INFINITY}},
      {RLIMIT_AS, "as", {RLIM_INFINITY, RLIM_INFINITY}},
      {RLIMIT_DATA, "data", {RLIM_INFINITY, RLIM_INFINITY}},
  };
  for (size_t i = 0; i < sizeof LIMITS / sizeof LIMITS[0]; i++) {
    struct rlimit now, want = LIMITS[i].limit;
    if (getrlimit(LIMITS[i].resource, &now) != 0)
      return failed(&inside->failure, "rlimits", "cannot read %s", LIMITS[i].name);
    /* ours may be lower than what we would give, and here we are nobody who could raise it */
    if (want.rlim_max > now.rlim_max) want.rlim_max = now.rlim_max;
    if (want.rlim_cur > want.rlim_max) want.rlim_cur = want.rlim_max;
    if (setrlimit(LIMITS[i].resource, &want) != 0)
      return failed(&inside->failure, "rlimits", "cannot set %s", LIMITS[i].name);
  }
  return 0;
}

/* Only 0, 1, 2 and the socket to the supervisor stay; the socket moves to 3. */
int setup_descriptors(struct inside *inside) {
  if (inside->supervisor != 3) {
    if (dup3(inside->supervisor, 3, 02000000 /* O_CLOEXEC */) != 3)
      return failed(&inside->failure, "descriptors", "cannot move the socket");
    inside->supervisor = 3;
  }
  if (sys_close_range(4, ~0u) == 0) return 0;
  return failed(&inside->failure, "descriptors", "cannot close what the host has open");
}

/* What root of a container needs to install packages and to run services as their own users. NET_RAW is
 * harmless in a network namespace without links, and without it files like ping cannot even be executed. */
#define BIT(capability) (1ull << (capability))
static const uint64_t KEPT = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |
                             BIT(CAP_KILL) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETPCAP) |
                             BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_NET_RAW) | BIT(CAP_SYS_CHROOT) | BIT(CAP_SETFCAP);

static int set_capabilities(uint64_t set) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {
      {.effective = (uint32_t)set, .permitted = (uint32_t)set},
      {.effective = (uint32_t)(set >> 32), .permitted = (uint32_t)(set >> 32)},
  };
  return (int)syscall(SYS_capset, &header, data);
}

int setup_bounding_set(struct inside *inside) {
  for (unsigned capability = 0; capability < 64; capability++) {
    if ((KEPT & BIT(capability)) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability) == 0) continue;
    if (errno == EINVAL && capability > CAP_AUDIT_READ) break; /* past the kernel's last one */
    return failed(&inside->failure, "bounding-set", "cannot drop capability %u", capability);
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0) return 0;
  return failed(&inside->failure, "bounding-set", "cannot drop ambient capabilities");
}

/* After the filter, which only they let us put up where setuid files work: without no_new_privs it takes SYS_ADMIN. */
int setup_capabilities(struct inside *inside) {
  if (set_capabilities(KEPT) == 0) return 0;
  return failed(&inside->failure, "capabilities", "cannot drop our own");
}

void keep_only_kill(void) {
  (void)set_capabilities(BIT(CAP_KILL));
}

int setup_no_new_privs(struct inside *inside) {
  if (inside->plan->allow_suid) return 0;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) return 0;
  return failed(&inside->failure, "no-new-privs", "cannot set it");
}

int setup_anonymous(struct inside *inside) {
  static const char NAME[] = "init";
  const struct plan *plan = inside->plan;
  explicit_bzero(plan->command_line, plan->command_line_bytes);
  memcpy(plan->command_line, NAME, sizeof NAME);
  if (prctl(PR_SET_NAME, NAME, 0, 0, 0) == 0) return 0;
  return failed(&inside->failure, "anonymous", "cannot take the name %s", NAME);
}

int setup_not_dumpable(struct inside *inside) {
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0) return 0;
  return failed(&inside->failure, "not-dumpable", "cannot set it");
}

int setup_seccomp(struct inside *inside) {
  const struct sock_fprog program = {.len = sizeof FILTER / sizeof FILTER[0], .filter = (struct sock_filter *)FILTER};
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0) return 0;
  return failed(&inside->failure, "seccomp", "the kernel does not take the filter");
}
