/* Whole messages and descriptors over a SOCK_SEQPACKET pair. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "toroid-sandbox.h"

enum { MAX_FDS = MAX_OPS + 2 };

union control {
  struct cmsghdr header;
  char space[CMSG_SPACE(sizeof(int) * MAX_FDS)];
};

int message_send(int socket, const struct message *message, const int *fds, size_t count) {
  union control control = {0};
  struct iovec part = {.iov_base = (void *)message, .iov_len = sizeof *message};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (count > 0) {
    header.msg_control = control.space;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    struct cmsghdr *rights = &control.header; /* what CMSG_FIRSTHDR answers */
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(rights), fds, sizeof(int) * count);
  }
  return sendmsg(socket, &header, MSG_NOSIGNAL) == (ssize_t)sizeof *message ? 0 : -1;
}

int message_receive(int socket, struct message *message, int *fds, size_t *count) {
  union control control = {0};
  struct iovec part = {.iov_base = message, .iov_len = sizeof *message};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  size_t room = *count;
  *count = 0;
  if (room > 0) {
    header.msg_control = control.space;
    header.msg_controllen = sizeof control.space;
  }
  ssize_t got;
  do got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  while (got < 0 && (errno == EINTR || errno == ECONNRESET)); /* a reset is told once, before what was still sent */
  if (got <= 0) return (int)got;
  struct cmsghdr *rights = room > 0 ? CMSG_FIRSTHDR(&header) : NULL;
  if (rights != NULL && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS) {
    size_t sent = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < sent && i < room; i++) memcpy(&fds[i], CMSG_DATA(rights) + i * sizeof(int), sizeof(int));
    *count = sent < room ? sent : room;
  }
  errno = EBADMSG;
  return got == (ssize_t)sizeof *message ? 1 : -1;
}
