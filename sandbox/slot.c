/* A slot of the pool: a network namespace that was made once (pool.c) and is entered by one run after another. It is
 * owned by the host's user namespace, so nothing inside can change it. What a run can leave behind are connections:
 * in the host's table (conntrack) and as sockets that outlive their process (TIME_WAIT and the like). Both are
 * cleared before a run and after it, by netlink. */
#include <linux/inet_diag.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/sock_diag.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "network"
enum { ALL_STATES = 0x1fff, MAX_ROUNDS = 64 };

static int netlink_open(int protocol) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (fd >= 0 && connect(fd, (struct sockaddr *)&kernel, sizeof kernel) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

/* Sends one request and reads its acknowledgement. */
static int netlink_ask(int fd, const struct nlmsghdr *request) {
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    char rest[512];
  } answer;
  if (send(fd, request, request->nlmsg_len, 0) < 0) return -1;
  ssize_t got = recv(fd, &answer, sizeof answer, 0);
  if (got < (ssize_t)(sizeof answer.header + sizeof answer.error.error)) {
    if (got >= 0) errno = EBADMSG;
    return -1;
  }
  errno = answer.header.nlmsg_type == NLMSG_ERROR ? -answer.error.error : EBADMSG;
  return errno == 0 ? 0 : -1;
}

/* The pool's rules mark every connection of a slot with the slot's address; the kernel removes all that bear it. */
int slot_forget_connections(int conntrack, uint32_t address) {
  struct {
    struct nlmsghdr header;
    struct nfgenmsg family;
    struct nlattr mark_header;
    uint32_t mark;
    struct nlattr mask_header;
    uint32_t mask;
  } request = {
      .header = {.nlmsg_len = sizeof request,
                 .nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
      .family = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0},
      .mark_header = {.nla_len = sizeof(struct nlattr) + sizeof(uint32_t), .nla_type = CTA_MARK},
      .mark = htonl(address),
      .mask_header = {.nla_len = sizeof(struct nlattr) + sizeof(uint32_t), .nla_type = CTA_MARK_MASK},
      .mask = UINT32_MAX,
  };
  return netlink_ask(conntrack, &request.header);
}

/* The number after ` key ` in the line of `protocol`: "TCP: inuse 0 orphan 0 tw 0". */
static unsigned long count_of(const char *text, const char *protocol, const char *key) {
  const char *line = strstr(text, protocol);
  if (line == NULL) return 0;
  const char *end = strchr(line, '\n'), *at = strstr(line, key);
  return at == NULL || (end != NULL && at > end) ? 0 : strtoul(at + strlen(key), NULL, 10);
}

/* How many sockets the network namespace that we are in has, the dying among them. */
static unsigned long sockets_left(void) {
  static const char *const FILES[] = {"/proc/thread-self/net/sockstat", "/proc/thread-self/net/sockstat6"};
  static const char *const PROTOCOLS[] = {"TCP: ", "TCP6: ", "UDP: ", "UDP6: ", "RAW: ", "RAW6: "};
  unsigned long count = 0;
  char text[1024];
  for (size_t file = 0; file < 2; file++) {
    if (read_text(AT_FDCWD, FILES[file], text, sizeof text) < 0) continue; /* no IPv6 */
    for (size_t i = 0; i < sizeof PROTOCOLS / sizeof PROTOCOLS[0]; i++)
      count += count_of(text, PROTOCOLS[i], " inuse ");
    count += count_of(text, "TCP: ", " tw ");
  }
  return count;
}

static int destroy_socket(int diag, const struct inet_diag_msg *found) {
  struct {
    struct nlmsghdr header;
    struct inet_diag_req_v2 which;
  } request = {
      .header = {.nlmsg_len = sizeof request, .nlmsg_type = SOCK_DESTROY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
      .which = {.sdiag_family = found->idiag_family, .sdiag_protocol = IPPROTO_TCP, .id = found->id},
  };
  return netlink_ask(diag, &request.header);
}

/* One list of the TCP sockets of a family, and an end to each. `answers` and `ender` are sockets of their own, because
 * a list is read in parts. */
static int destroy_listed(int answers, int ender, uint8_t family) {
  struct {
    struct nlmsghdr header;
    struct inet_diag_req_v2 which;
  } request = {
      .header = {.nlmsg_len = sizeof request,
                 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
      .which = {.sdiag_family = family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ALL_STATES},
  };
  if (send(answers, &request, sizeof request, 0) < 0) return -1;
  for (;;) {
    _Alignas(struct nlmsghdr) char part[32768];
    ssize_t got = recv(answers, part, sizeof part, 0);
    if (got < (ssize_t)sizeof(struct nlmsghdr)) return -1;
    size_t left = (size_t)got;
    for (const struct nlmsghdr *at = (const struct nlmsghdr *)part; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
      if (at->nlmsg_type == NLMSG_DONE) return 0;
      if (at->nlmsg_type == NLMSG_ERROR) return -1;
      if (at->nlmsg_len >= NLMSG_LENGTH(sizeof(struct inet_diag_msg))) (void)destroy_socket(ender, NLMSG_DATA(at));
    }
  }
}

static void destroy_sockets(void) {
  int answers = netlink_open(NETLINK_SOCK_DIAG), ender = netlink_open(NETLINK_SOCK_DIAG);
  if (answers >= 0 && ender >= 0 && destroy_listed(answers, ender, AF_INET) == 0)
    (void)destroy_listed(answers, ender, AF_INET6);
  if (answers >= 0) close(answers);
  if (ender >= 0) close(ender);
}

int slot_clean(const struct slot *slot, struct failure *failure) {
  if (slot->netns < 0) return 0;
  unsigned long left = sockets_left();
  if (left > 0) {
    destroy_sockets();
    left = sockets_left();
  }
  errno = 0;
  if (left > 0) return failed(failure, STEP, "%lu sockets of an earlier run are left in the slot", left);
  if (slot->conntrack < 0) return 0;
  if (slot_forget_connections(slot->conntrack, slot->address) == 0) return 0;
  return failed(failure, STEP, "the connections of an earlier run cannot be removed");
}

/* Not the host's own, and owned by the host: in one that a user namespace owns, that namespace's root is master. */
static int is_pooled(int netns) {
  struct stat ours, its, owner;
  int userns = ioctl(netns, NS_GET_USERNS);
  bool pooled = userns >= 0 && ioctl(netns, NS_GET_NSTYPE) == CLONE_NEWNET && fstat(userns, &owner) == 0 &&
                stat("/proc/self/ns/user", &ours) == 0 && owner.st_ino == ours.st_ino &&
                stat("/proc/self/ns/net", &ours) == 0 && fstat(netns, &its) == 0 && its.st_ino != ours.st_ino;
  if (userns >= 0) close(userns);
  return pooled;
}

static int own_address(uint32_t *address) {
  struct ifreq request = {.ifr_name = SLOT_LINK};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int result = fd < 0 ? -1 : ioctl(fd, SIOCGIFADDR, &request);
  if (fd >= 0) close(fd);
  struct sockaddr_in found;
  memcpy(&found, &request.ifr_addr, sizeof found);
  *address = ntohl(found.sin_addr.s_addr);
  return result;
}

int slot_enter(struct slot *slot, const char *path, struct failure *failure) {
  slot->netns = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (slot->netns < 0) return failed(failure, STEP, "cannot open %s", path);
  errno = 0;
  if (!is_pooled(slot->netns)) return failed(failure, STEP, "%s is no network namespace of a pool", path);
  if (flock(slot->netns, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return failed(failure, STEP, "cannot lock %s", path);
    errno = 0;
    return failed(failure, STEP, "%s is in use by another run", path);
  }
  slot->conntrack = netlink_open(NETLINK_NETFILTER); /* a socket stays in the namespace it was made in: the host's */
  if (slot->conntrack < 0) return failed(failure, STEP, "this kernel has no netfilter");
  if (setns(slot->netns, CLONE_NEWNET) != 0) return failed(failure, STEP, "cannot enter %s", path);
  slot->entered = true;
  if (own_address(&slot->address) != 0) return failed(failure, STEP, "%s has no address", path);
  return slot_clean(slot, failure);
}

int slot_enter_alone(struct slot *slot, int netns, struct failure *failure) {
  slot->netns = fcntl(netns, F_DUPFD_CLOEXEC, 0);
  if (slot->netns < 0 || setns(slot->netns, CLONE_NEWNET) != 0)
    return failed(failure, STEP, "cannot enter the network of the slot");
  slot->entered = true;
  return slot_clean(slot, failure);
}

void slot_leave(struct slot *slot) {
  struct failure failure = {0};
  char sentence[640];
  if (slot->netns < 0) return;
  if (slot->entered && slot_clean(slot, &failure) != 0) {
    failure_sentence(&failure, sentence, sizeof sentence);
    complain("%s", sentence);
  }
  if (slot->conntrack >= 0) close(slot->conntrack);
  close(slot->netns);
  slot->netns = slot->conntrack = -1;
}
