/* What a run can leave in the namespace of its slot: sockets that outlive their process (TIME_WAIT and the like), and
 * what the kernel learned for it (neighbours, exceptions to routes). Found and removed by netlink, in the namespace
 * that we are in. */
#include <linux/inet_diag.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "network.h"

#define STEP "network"
enum { ALL_STATES = 0x1fff };

/* ---- sockets ---- */

/* The number after ` key ` in the line of `protocol`: "TCP: inuse 0 orphan 0 tw 0". */
static unsigned long count_of(const char *text, const char *protocol, const char *key) {
  const char *line = strstr(text, protocol);
  if (line == NULL) return 0;
  const char *end = strchr(line, '\n'), *at = strstr(line, key);
  return at == NULL || (end != NULL && at > end) ? 0 : strtoul(at + strlen(key), NULL, 10);
}

/* How many sockets there are, the dying among them. */
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

/* One that ends by itself meanwhile is no failure: they are counted at the end. */
static int destroy_socket(const struct nlmsghdr *found, void *ender) {
  if (found->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg))) return -1;
  const struct inet_diag_msg *socket = NLMSG_DATA(found);
  struct {
    struct nlmsghdr header;
    struct inet_diag_req_v2 which;
  } request = {
      .header = {.nlmsg_len = sizeof request, .nlmsg_type = SOCK_DESTROY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
      .which = {.sdiag_family = socket->idiag_family, .sdiag_protocol = IPPROTO_TCP, .id = socket->id},
  };
  (void)netlink_ask(*(const int *)ender, &request, sizeof request);
  return 0;
}

/* The list and the ends to what is in it go over sockets of their own, because a list is read in parts. */
static void destroy_sockets(void) {
  int list = netlink_open(NETLINK_SOCK_DIAG), ender = netlink_open(NETLINK_SOCK_DIAG);
  for (const uint8_t *family = (const uint8_t[]){AF_INET, AF_INET6, 0}; *family != 0 && list >= 0 && ender >= 0;
       family++) {
    struct {
      struct nlmsghdr header;
      struct inet_diag_req_v2 which;
    } request = {
        .header = {.nlmsg_len = sizeof request,
                   .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .which = {.sdiag_family = *family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ALL_STATES},
    };
    if (netlink_list(list, &request, sizeof request, destroy_socket, &ender) != 0) break;
  }
  if (list >= 0) close(list);
  if (ender >= 0) close(ender);
}

/* ---- what the kernel learned ---- */

/* All but the one that was asked by ARP and answered, the bridge: the pool's own, and the same for every run. With its
 * address and its link the kernel finds one again; it may be gone by itself. */
static int forget_neighbour(const struct nlmsghdr *found, void *asker) {
  int *ender = asker;
  struct {
    struct nlmsghdr header;
    struct ndmsg which;
    struct nlattr address;
    char bytes[16];
  } request = {.header = {.nlmsg_type = RTM_DELNEIGH, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
  if (found->nlmsg_type != RTM_NEWNEIGH || found->nlmsg_len < NLMSG_LENGTH(sizeof request.which)) return -1;
  const struct ndmsg *neighbour = NLMSG_DATA(found);
  if ((neighbour->ndm_state & (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE)) != 0) return 0;
  request.which = (struct ndmsg){.ndm_family = neighbour->ndm_family, .ndm_ifindex = neighbour->ndm_ifindex};
  int left = (int)(found->nlmsg_len - NLMSG_SPACE(sizeof *neighbour));
  const struct rtattr *at = (const struct rtattr *)((const char *)neighbour + NLMSG_ALIGN(sizeof *neighbour));
  while (RTA_OK(at, left) && at->rta_type != NDA_DST) at = RTA_NEXT(at, left);
  if (!RTA_OK(at, left) || RTA_PAYLOAD(at) > sizeof request.bytes) return -1;
  memcpy(request.bytes, RTA_DATA(at), RTA_PAYLOAD(at));
  request.address = (struct nlattr){.nla_len = at->rta_len, .nla_type = NDA_DST};
  request.header.nlmsg_len = (uint32_t)(NLMSG_SPACE(sizeof request.which) + at->rta_len);
  if (*ender < 0) *ender = netlink_open(NETLINK_ROUTE); /* most runs have none */
  if (*ender < 0) return -1;
  return netlink_ask(*ender, &request, request.header.nlmsg_len) == 0 || errno == ENOENT ? 0 : -1;
}

static int forget_neighbours(void) {
  int list = netlink_open(NETLINK_ROUTE), ender = -1;
  struct {
    struct nlmsghdr header;
    struct ndmsg which;
  } request = {
      .header = {.nlmsg_len = sizeof request, .nlmsg_type = RTM_GETNEIGH, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
  int result = list < 0 ? -1 : netlink_list(list, &request, sizeof request, forget_neighbour, &ender);
  int error = errno;
  if (list >= 0) close(list);
  if (ender >= 0) close(ender);
  errno = error;
  return result;
}

int sockets_clear(struct failure *failure) {
  unsigned long left = sockets_left();
  if (left > 0) {
    destroy_sockets();
    left = sockets_left();
  }
  errno = 0;
  return left == 0 ? 0 : failed(failure, STEP, "%lu sockets of an earlier run are left in the slot", left);
}

int memory_clear(struct failure *failure) {
  if (forget_neighbours() != 0) return failed(failure, STEP, "the neighbours of an earlier run cannot be forgotten");
  if (write_text(AT_FDCWD, "/proc/sys/net/ipv4/route/flush", "1")) return 0;
  return failed(failure, STEP, "the routes that an earlier run learned cannot be forgotten");
}
