/* Messages of pid 1: whatever comes, and with however many descriptors, what is made of it can be read, told and
 * forgotten. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../toroid-sandbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition)) abort();                                                                                         \
  } while (0)

enum { MOST_SENT = 16, MOST_TAKEN = 4 };

/* The number that the next descriptor gets: more than before when one was lost. */
static int next_number(void) {
  int fd = dup(0);
  MUST(fd >= 0);
  close(fd);
  return fd;
}

static void send_bytes(int to, const uint8_t *data, size_t size, size_t descriptors) {
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int) * MOST_SENT)];
  } control = {0};
  struct iovec part = {.iov_base = (void *)data, .iov_len = size};
  struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
  if (descriptors > 0) {
    header.msg_control = control.space;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * descriptors);
    struct cmsghdr *rights = &control.header;
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * descriptors);
    for (size_t i = 0; i < descriptors; i++) memcpy(CMSG_DATA(rights) + i * sizeof(int), &(int){0}, sizeof(int));
  }
  MUST(sendmsg(to, &header, MSG_NOSIGNAL) == (ssize_t)size);
}

static void tell(const struct message *message) {
  char sentence[640];
  struct run *run = calloc(1, sizeof *run);
  MUST(run != NULL);
  failure_sentence(&message->failure, sentence, sizeof sentence);
  run->status_fd = -1;
  tell_started(run, message);
  free(run);
}

/* The first two bytes say how many descriptors come along and how many are wanted; the rest is the message, as it is,
 * or filled up to the length of one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct message message;
  int pair[2], fds[MOST_TAKEN];
  if (size < 3 || size > 65536) return 0; /* an empty one is the end */
  size_t sent = data[0] % (MOST_SENT + 1u), wanted = data[1] % (MOST_TAKEN + 1u), count = wanted;
  bool whole = data[0] >= 128;
  uint8_t *filled = calloc(1, sizeof message);
  MUST(filled != NULL);
  memset(filled, data[2], sizeof message);
  memcpy(filled, data + 2, size - 2 < sizeof message ? size - 2 : sizeof message);
  int before = next_number();
  MUST(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
  if (whole)
    send_bytes(pair[0], filled, sizeof message, sent);
  else
    send_bytes(pair[0], data + 2, size - 2, sent);
  int got = message_receive(pair[1], &message, fds, &count);
  MUST(count <= wanted && count <= sent);
  MUST(!whole || got == 1);
  if (got == 1) {
    MUST(whole || size - 2 == sizeof message);
    tell(&message);
  } else {
    MUST(count == 0);
  }
  for (size_t i = 0; i < count; i++) close(fds[i]);
  close(pair[0]);
  close(pair[1]);
  MUST(next_number() == before);
  free(filled);
  return 0;
}
