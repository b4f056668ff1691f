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

/* Pid 1 is ours, but it has lived beside what is not. */
static void tame(struct message *message) {
  message->failure.step[sizeof message->failure.step - 1] = '\0';
  message->failure.text[sizeof message->failure.text - 1] = '\0';
  if (message->steps.count > MAX_STEPS) message->steps.count = MAX_STEPS;
  for (size_t i = 0; i < MAX_STEPS; i++) message->steps.at[i].name[sizeof message->steps.at[i].name - 1] = '\0';
}

/* Takes what came along into `fds`, as far as there is room, and lets the rest go. */
static size_t take_descriptors(struct msghdr *header, int *fds, size_t room) {
  struct cmsghdr *rights = header->msg_controllen == 0 ? NULL : CMSG_FIRSTHDR(header);
  if (rights == NULL || rights->cmsg_level != SOL_SOCKET || rights->cmsg_type != SCM_RIGHTS) return 0;
  size_t sent = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
  for (size_t i = 0; i < sent; i++) {
    int fd;
    memcpy(&fd, CMSG_DATA(rights) + i * sizeof fd, sizeof fd);
    if (i < room)
      fds[i] = fd;
    else
      close(fd);
  }
  return sent < room ? sent : room;
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
  if (got < 0) return -1;
  bool whole = got == (ssize_t)sizeof *message && (header.msg_flags & MSG_TRUNC) == 0;
  *count = take_descriptors(&header, fds, whole ? room : 0);
  if (whole) tame(message);
  errno = EBADMSG;
  return whole ? 1 : got == 0 ? 0 : -1;
}
