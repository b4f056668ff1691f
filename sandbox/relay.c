/* What the command prints, passed on by the supervisor: only where it is to be counted, watched or shown on a terminal,
 * for else the command has the caller's own descriptors. Nothing here ever waits: a caller that does not read holds up
 * the command, and neither the clock nor the end. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "output"
enum { BUFFER_BYTES = 65536 };

/* The open file is the caller's, and so are its flags: one of our own can be told not to wait. Of a socket and of a
 * file there can be none; the one is asked at each call, the other does not wait for anybody. */
static struct channel channel_open(int fd, int how) {
  struct channel channel = {.fd = fd, .kind = CHANNEL_CAREFUL};
  struct stat status;
  char path[32];
  if (fstat(fd, &status) != 0) return channel;
  if (S_ISSOCK(status.st_mode)) channel.kind = CHANNEL_SOCKET;
  if (S_ISREG(status.st_mode)) channel.kind = CHANNEL_FREE;
  if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode)) return channel;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int own = open(path, how | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  return own < 0 ? channel : (struct channel){.fd = own, .kind = CHANNEL_FREE};
}

static ssize_t channel_write(const struct channel *to, const char *bytes, size_t length) {
  if (to->kind == CHANNEL_SOCKET) return send(to->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  /* what polls as writable takes so much at once */
  bool careful = to->kind == CHANNEL_CAREFUL && length > PIPE_BUF;
  return write(to->fd, bytes, careful ? PIPE_BUF : length);
}

static ssize_t channel_read(const struct channel *from, char *bytes, size_t room) {
  if (from->kind == CHANNEL_SOCKET) return recv(from->fd, bytes, room, MSG_DONTWAIT);
  return read(from->fd, bytes, room);
}

static int add_stream(struct relay *relay, struct channel from, struct channel to, bool is_output) {
  char *bytes = malloc(BUFFER_BYTES);
  if (bytes == NULL) return -1;
  relay->at[relay->count++] = (struct stream){.from = from, .to = to, .bytes = bytes, .is_output = is_output};
  return 0;
}

static bool is_same_file(int one, int other) {
  struct stat a, b;
  return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int relay_open(struct relay *relay, const struct plan *plan, uint64_t uid_base, int ends[2], struct failure *failure) {
  relay->limit = plan->output_bytes;
  int count = is_same_file(STDOUT_FILENO, STDERR_FILENO) ? 1 : 2;
  for (int i = 0; i < count; i++) {
    int fds[2], to = STDOUT_FILENO + i;
    /* of the command's user, who may open it again as /dev/stdout */
    if (pipe2(fds, O_CLOEXEC) != 0 || fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0 ||
        fchown(fds[1], (uid_t)(uid_base + plan->user), (gid_t)(uid_base + plan->group)) != 0 ||
        add_stream(relay, (struct channel){.fd = fds[0], .kind = CHANNEL_FREE}, channel_open(to, O_WRONLY), true) != 0)
      return failed(failure, STEP, "no pipe for what the command prints");
    ends[i] = fds[1];
  }
  if (count == 1) ends[1] = ends[0];
  return 0;
}

int relay_terminal(struct relay *relay, const struct plan *plan, int master, struct failure *failure) {
  const struct channel shown = {.fd = fcntl(master, F_DUPFD_CLOEXEC, 3), .kind = CHANNEL_FREE};
  const struct channel typed = {.fd = fcntl(master, F_DUPFD_CLOEXEC, 3), .kind = CHANNEL_FREE};
  relay->limit = plan->output_bytes;
  if (shown.fd >= 0 && typed.fd >= 0 && add_stream(relay, shown, channel_open(STDOUT_FILENO, O_WRONLY), true) == 0 &&
      add_stream(relay, channel_open(STDIN_FILENO, O_RDONLY), typed, false) == 0)
    return 0;
  return failed(failure, "terminal", "it cannot be passed on");
}

/* ---- passing on ---- */

static size_t pending(const struct stream *stream) {
  return stream->used - stream->sent;
}

static void close_channel(struct channel *channel) {
  if (channel->fd > STDERR_FILENO) close(channel->fd);
  channel->fd = -1;
}

/* Nobody reads: the command is told by its next write. */
static void give_up(struct relay *relay, struct stream *stream) {
  if (stream->is_output) {
    relay->passed -= pending(stream);
    relay->dropped += pending(stream);
  }
  stream->sent = stream->used;
  close_channel(&stream->from);
}

static void write_some(struct relay *relay, struct stream *stream) {
  ssize_t put = channel_write(&stream->to, stream->bytes + stream->sent, pending(stream));
  if (put > 0) stream->sent += (size_t)put;
  if (put > 0) relay->heard_at = now_us();
  if (put < 0 && errno != EAGAIN && errno != EINTR) give_up(relay, stream);
}

/* A pipe that is typed from has an end, a terminal only a key for it. */
static void end_of_input(struct stream *stream) {
  stream->sent = 0;
  stream->used = terminal_end_of_input(stream->to.fd, stream->in_a_line, stream->bytes);
}

/* What is past the limit is taken from the command and goes nowhere. */
static void read_some(struct relay *relay, struct stream *stream) {
  ssize_t got = channel_read(&stream->from, stream->bytes, BUFFER_BYTES);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) { /* EIO from a terminal that nobody has open any more */
    close_channel(&stream->from);
    if (!stream->is_output) end_of_input(stream);
    return;
  }
  stream->in_a_line = stream->bytes[got - 1] != '\n';
  size_t keep = (size_t)got;
  if (stream->is_output) {
    uint64_t room = relay->limit == 0 ? keep : relay->limit - relay->passed;
    if (keep > room) keep = (size_t)room;
    relay->passed += keep;
    relay->dropped += (size_t)got - keep;
    relay->is_over |= keep < (size_t)got;
    relay->heard_at = now_us();
  }
  stream->used = keep;
  stream->sent = 0;
}

void relay_watch(const struct relay *relay, struct pollfd *on) {
  for (size_t i = 0; i < MAX_STREAMS; i++) {
    const struct stream *stream = &relay->at[i];
    on[i] = (struct pollfd){.fd = -1};
    if (i >= relay->count) continue;
    on[i] = pending(stream) > 0 ? (struct pollfd){.fd = stream->to.fd, .events = POLLOUT}
                                : (struct pollfd){.fd = stream->from.fd, .events = POLLIN};
  }
}

void relay_pass(struct relay *relay, const struct pollfd *on) {
  for (size_t i = 0; i < relay->count; i++) {
    struct stream *stream = &relay->at[i];
    if (on[i].revents == 0) continue;
    if (pending(stream) == 0) {
      read_some(relay, stream);
      if (pending(stream) == 0 || stream->to.kind == CHANNEL_CAREFUL) continue;
    }
    write_some(relay, stream);
  }
}

void relay_hang_up(struct relay *relay) {
  for (size_t i = 0; i < relay->count; i++) {
    give_up(relay, &relay->at[i]);
    close_channel(&relay->at[i].to);
  }
}

bool relay_is_held_up(const struct relay *relay) {
  for (size_t i = 0; i < relay->count; i++) {
    if (relay->at[i].is_output && pending(&relay->at[i]) > 0) return true;
  }
  return false;
}

/* ---- the end: everything that could print is dead ---- */

/* All that there is to read, and no waiting for an end: who was given the pipe may hold it for ever. */
static bool fill(struct relay *relay) {
  for (size_t i = 0; i < relay->count; i++) {
    struct stream *stream = &relay->at[i];
    if (!stream->is_output) continue;
    while (stream->from.fd >= 0 && pending(stream) == 0) {
      size_t before = relay->passed + relay->dropped;
      read_some(relay, stream);
      if (relay->passed + relay->dropped == before) break;
    }
  }
  return relay_is_held_up(relay);
}

/* What can be written is written, whatever else there is; only who then waits can be told not to. */
static bool finish_some(struct relay *relay, const int giving_up[2]) {
  struct pollfd on[MAX_STREAMS + 2];
  uint64_t waited = (now_us() - relay->heard_at) / 1000;
  relay_watch(relay, on);
  for (size_t i = 0; i < relay->count; i++) {
    if (!relay->at[i].is_output || pending(&relay->at[i]) == 0) on[i].fd = -1;
  }
  for (int i = 0; i < 2; i++) on[MAX_STREAMS + i] = (struct pollfd){.fd = giving_up[i], .events = POLLIN};
  if (waited >= RELAY_PATIENCE_MS || poll(on, MAX_STREAMS + 2, RELAY_PATIENCE_MS - (int)waited) < 0) return false;
  size_t left = 0, before = 0;
  for (size_t i = 0; i < relay->count; i++) before += pending(&relay->at[i]);
  relay_pass(relay, on);
  for (size_t i = 0; i < relay->count; i++) left += pending(&relay->at[i]);
  return left < before || (on[MAX_STREAMS].revents | on[MAX_STREAMS + 1].revents) == 0;
}

void relay_finish(struct relay *relay, const int giving_up[2]) {
  relay->heard_at = now_us();
  while (fill(relay) && finish_some(relay, giving_up)) continue;
  for (size_t i = 0; i < relay->count; i++) {
    struct stream *stream = &relay->at[i];
    give_up(relay, stream);
    close_channel(&stream->to);
    free(stream->bytes);
  }
  relay->count = 0;
}
