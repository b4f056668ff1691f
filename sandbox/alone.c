/* The network of `--network none`: a namespace with nothing in it but a loopback. The kernel makes and unmakes network
 * namespaces one at a time, which would be half of what a run costs: pid 1 makes its own while the supervisor makes the
 * root, and `serve` keeps one for each slot, owned by the host's user namespace, so that no run can change it. */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "network"

/* What root of a namespace of its own may do without asking: use low ports, and ping. */
static const struct {
  const char *path, *value;
  bool must; /* groups have to be mapped, and pid 1 has none yet; who is root inside can ping all the same */
} KNOBS[] = {
    {"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0", true},
    {"/proc/sys/net/ipv4/ping_group_range", "0 2147483647", false},
};

static int loopback_up(struct failure *failure) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int result = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request), error = errno;
  if (fd >= 0) close(fd);
  errno = error;
  return result == 0 ? 0 : failed(failure, STEP, "cannot bring lo up");
}

int network_alone(struct failure *failure) {
  if (unshare(CLONE_NEWNET) != 0) return failed(failure, STEP, "the kernel makes no network namespace");
  for (size_t i = 0; i < sizeof KNOBS / sizeof KNOBS[0]; i++) {
    if (!write_text(AT_FDCWD, KNOBS[i].path, KNOBS[i].value) && KNOBS[i].must)
      return failed(failure, STEP, "cannot write %s", KNOBS[i].path);
  }
  return loopback_up(failure);
}

int network_alone_keep(struct failure *failure) {
  int host = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), made = -1;
  if (host < 0) return failed(failure, STEP, "cannot open our network namespace");
  if (network_alone(failure) == 0) {
    made = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (made < 0) failed(failure, STEP, "cannot open the network namespace made");
  }
  if (setns(host, CLONE_NEWNET) != 0) made = failed(failure, STEP, "cannot go back to our network namespace");
  close(host);
  return made;
}
