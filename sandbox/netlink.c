/* Talking to the kernel's network by netlink: one request, one answer. */
#include <linux/netlink.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "network.h"

int netlink_open(int protocol) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  if (fd >= 0 && connect(fd, (struct sockaddr *)&kernel, sizeof kernel) == 0) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

/* A request is worked off while it is sent, so what is there already answers an earlier one, of which the first word
 * was enough. */
static void forget_answers(int fd) {
  char some[256];
  while (recv(fd, some, sizeof some, MSG_DONTWAIT | MSG_TRUNC) >= 0) continue;
}

int netlink_ask(int fd, const void *messages, size_t length) {
  struct {
    struct nlmsghdr header;
    struct nlmsgerr error;
    char rest[512];
  } answer;
  forget_answers(fd);
  if (send(fd, messages, length, 0) < 0) return -1;
  ssize_t got = recv(fd, &answer, sizeof answer, 0);
  if (got < (ssize_t)(sizeof answer.header + sizeof answer.error.error)) {
    if (got >= 0) errno = EBADMSG;
    return -1;
  }
  errno = answer.header.nlmsg_type == NLMSG_ERROR ? -answer.error.error : EBADMSG;
  return errno == 0 ? 0 : -1;
}

int netlink_list(int fd, const void *request, size_t length, int (*each)(const struct nlmsghdr *found, void *with),
                 void *with) {
  forget_answers(fd);
  if (send(fd, request, length, 0) < 0) return -1;
  for (int result = 0;;) {
    _Alignas(struct nlmsghdr) char part[32768];
    ssize_t got = recv(fd, part, sizeof part, 0);
    if (got < (ssize_t)sizeof(struct nlmsghdr)) return -1;
    size_t left = (size_t)got;
    for (const struct nlmsghdr *at = (const struct nlmsghdr *)part; NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
      if (at->nlmsg_type == NLMSG_DONE) return result;
      if (at->nlmsg_type == NLMSG_ERROR) return -1;
      if (result == 0) result = each(at, with);
    }
  }
}
