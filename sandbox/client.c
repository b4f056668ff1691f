/* One request of a client of `serve`, in a process of its own. What the client says is checked here against what
 * `serve` was started with; the run itself is the same as anybody's. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-archive.h"

enum { MAX_REQUEST_BYTES = 8 << 20, MAX_WORDS = 65536, REQUEST_PATIENCE_MS = 10000 };

static int answer_refused(int client, const char *sentence) {
  struct json json;
  json_begin(&json);
  json_string(&json, "event", "refused");
  json_string(&json, "message", sentence);
  json_send(&json, client);
  return EXIT_OURS;
}

static int answer_failed(int client, const struct failure *failure) {
  char sentence[640];
  failure_sentence(failure, sentence, sizeof sentence);
  return answer_refused(client, sentence);
}

static int answer_done(int client, const char *key, uint64_t count) {
  struct json json;
  json_begin(&json);
  json_string(&json, "event", "done");
  json_number(&json, key, count);
  json_send(&json, client);
  return 0;
}

/* ---- reading ---- */

static bool read_whole(int client, char *into, size_t length, uint64_t until) {
  for (size_t used = 0; used < length;) {
    uint64_t now = now_us();
    struct pollfd ready = {.fd = client, .events = POLLIN};
    if (now >= until) return false;
    if (poll(&ready, 1, (int)((until - now) / 1000) + 1) < 0 && errno != EINTR) return false;
    ssize_t got = recv(client, into + used, length - used, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (got <= 0) return false;
    used += (size_t)got;
  }
  return true;
}

int read_request(int client, struct list *words, struct sentence *why) {
  static char text[MAX_REQUEST_BYTES]; /* a process serves one request */
  uint64_t until = now_us() + REQUEST_PATIENCE_MS * 1000ull;
  unsigned char head[4];
  if (!read_whole(client, (char *)head, sizeof head, until)) return refuse(why, "the request did not come");
  uint32_t length = head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
  if (length == 0 || length > MAX_REQUEST_BYTES)
    return refuse(why, "a request has 1 to %d bytes, not %u", MAX_REQUEST_BYTES, length);
  if (!read_whole(client, text, length, until)) return refuse(why, "the request is cut short");
  if (text[length - 1] != '\0') return refuse(why, "the last word of the request does not end in NUL");
  for (char *word = text; word < text + length; word += strlen(word) + 1) {
    if (words->count == MAX_WORDS) return refuse(why, "a request has %d words at most", MAX_WORDS);
    if (list_add(words, word) != 0) return refuse(why, "there is no memory for the request");
  }
  return 0;
}

/* ---- run ---- */

static bool is_clients(const struct serve *serve, int fd, struct stat *status) {
  return fstat(fd, status) == 0 && status->st_uid == serve->client_uid;
}

static int open_bind(const struct serve *serve, struct op *op, struct sentence *why) {
  struct stat status;
  int fd = shares_open(&serve->shares, op->source, O_PATH);
  if (fd < 0) return refuse(why, "--bind %.300s: %s", op->source, shares_why_not(errno));
  if (!is_clients(serve, fd, &status) || !(S_ISDIR(status.st_mode) || S_ISREG(status.st_mode)))
    return refuse(why, "--bind %.300s: it is no directory or file of the client's", op->source);
  op->source_fd = fd;
  return 0;
}

static int open_image(const struct serve *serve, struct plan *plan, size_t at, struct sentence *why) {
  const char *path = plan->lowers.at[at];
  struct stat status;
  if (strcmp(path, "host") == 0) return 0;
  int fd = shares_open(&serve->images, path, O_PATH | O_DIRECTORY);
  if (fd < 0 && errno == EPERM) {
    fd = shares_open(&serve->shares, path, O_PATH | O_DIRECTORY);
    plan->lower_shared[at] = true;
    if (fd >= 0 && !is_clients(serve, fd, &status))
      return refuse(why, "--image %.300s: it is no directory of the client's", path);
  }
  if (fd < 0) return refuse(why, "--image %.300s: %s", path, shares_why_not(errno));
  plan->lower_fds[at] = fd;
  return 0;
}

/* A named pipe of the client's that somebody reads already, or we would wait for it. */
static int open_pipe(const struct serve *serve, const char *path, struct sentence *why) {
  char again[40];
  struct stat status;
  int found = shares_open(&serve->shares, path, O_PATH);
  if (found < 0) return refuse(why, "%.300s: %s", path, shares_why_not(errno));
  bool is_pipe = is_clients(serve, found, &status) && S_ISFIFO(status.st_mode);
  snprintf(again, sizeof again, "/proc/self/fd/%d", found);
  int fd = is_pipe ? open(again, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) : -1, error = errno;
  close(found);
  if (!is_pipe) return refuse(why, "%.300s: it is no named pipe of the client's", path);
  if (fd < 0) return refuse(why, "%.300s: %s", path, error == ENXIO ? "nobody reads it" : strerror(error));
  if (fcntl(fd, F_SETFL, 0) == 0) return fd;
  close(fd);
  return refuse(why, "%.300s: %s", path, strerror(errno));
}

/* Becomes stdout and stderr. */
static int open_output(const struct serve *serve, const char *path, struct sentence *why) {
  struct sentence reason = {""};
  int fd = path == NULL ? open("/dev/null", O_WRONLY | O_CLOEXEC) : open_pipe(serve, path, &reason);
  if (fd < 0) return refuse(why, "--output %s", path == NULL ? strerror(errno) : reason.text);
  if (dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) return refuse(why, "--output: %s", strerror(errno));
  close(fd);
  return 0;
}

static char *joined(const char *dir, const char *name) {
  char *path = NULL;
  return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

static int set_network(const struct serve *serve, struct plan *plan, struct sentence *why) {
  if (plan->network == NETWORK_HOST && !serve->may_share_network)
    return refuse(why, "--network host: serve was not started with --may-share-network");
  if (plan->network != NETWORK_FULL) return 0;
  if (!serve->has_pool) return refuse(why, "--network full: there is no pool of networks: %.300s", serve->why_no_pool);
  char slot[24];
  snprintf(slot, sizeof slot, "%llu", (unsigned long long)plan->slot);
  plan->netns = joined(serve->net, slot);
  if (plan->allow_count == 0) plan->resolver_file = joined(serve->net, "resolv.conf");
  return plan->netns != NULL && (plan->allow_count > 0 || plan->resolver_file != NULL)
             ? 0
             : refuse(why, "there is no memory");
}

/* A build whose image is the host must not see what is the client's and what is ours. */
static int mask_ours(const struct serve *serve, struct plan *plan, struct sentence *why) {
  if (!plan->image_is_host) return 0;
  int result = list_add(&plan->masks, strdup(serve->state));
  for (size_t i = 0; i < serve->shares.count; i++) result |= list_add(&plan->masks, strdup(serve->shares.at[i].path));
  for (size_t i = 0; i < serve->images.count; i++) result |= list_add(&plan->masks, strdup(serve->images.at[i].path));
  return result == 0 ? 0 : refuse(why, "there is no memory");
}

static int set_slot(const struct serve *serve, struct plan *plan, struct sentence *why) {
  if (plan->slot >= serve->slots)
    return refuse(why, "--slot wants a number from 0 to %llu", (unsigned long long)serve->slots - 1);
  plan->uid_base = serve->uid_bases[plan->slot];
  plan->bind_owner = serve->client_uid;
  plan->bind_userns = serve->owner_userns[plan->slot];
  plan->alone_netns = serve->alone_netns[plan->slot];
  plan->cgroup = serve->cgroup;
  plan->allow_weak = serve->allow_weak;
  plan->command_line = serve->command_line;
  plan->command_line_bytes = serve->command_line_bytes;
  return 0;
}

static int read_plan(const struct serve *serve, struct plan *plan, struct list *words, struct sentence *why) {
  plan->is_client = true;
  if (parse_run_words(plan, words, why) != 0 || set_slot(serve, plan, why) != 0) return -1;
  if (plan->scratch == NULL) return refuse(why, "--scratch is missing");
  plan->scratch = joined(serve->state, plan->scratch);
  if (plan->scratch == NULL) return refuse(why, "there is no memory");
  if (mkdir(plan->scratch, 0700) != 0 && errno != EEXIST)
    return refuse(why, "--scratch: %s cannot be made: %s", plan->scratch, strerror(errno));
  for (size_t i = 0; i < plan->op_count; i++) {
    if (plan->ops[i].kind == OP_BIND && open_bind(serve, &plan->ops[i], why) != 0) return -1;
  }
  for (size_t i = 0; i < plan->lowers.count; i++) {
    if (open_image(serve, plan, i, why) != 0) return -1;
  }
  if (set_network(serve, plan, why) != 0 || mask_ours(serve, plan, why) != 0) return -1;
  return check_run_plan(plan, why) != 0 ? -1 : open_output(serve, plan->output, why);
}

static int do_run(const struct serve *serve, int client, struct list *words) {
  static struct plan plan;
  struct sentence why = {""};
  if (read_plan(serve, &plan, words, &why) == 0) return run_command(&plan, client);
  if (plan.scratch != NULL) (void)rmdir(plan.scratch); /* empty, if it was made for this */
  plan.status_fd = (uint64_t)client;
  refuse_run(&plan, &why);
  return EXIT_OURS;
}

/* ---- the rest ---- */

/* errno says why. */
static int answer_path_refused(int client, const char *verb, const char *path) {
  struct sentence why;
  refuse(&why, "%s %.300s: %s", verb, path, shares_why_not(errno));
  return answer_refused(client, why.text);
}

static int do_adopt(const struct serve *serve, int client, struct list *words) {
  struct failure failure = {0};
  int dir = shares_open(&serve->shares, words->at[0], O_PATH);
  if (dir < 0) return answer_path_refused(client, "adopt", words->at[0]);
  long count = adopt_tree(serve, dir, &failure);
  return count < 0 ? answer_failed(client, &failure) : answer_done(client, "adopted", (uint64_t)count);
}

static int do_remove(const struct serve *serve, int client, struct list *words) {
  const char *name = NULL;
  int parent = shares_open_parent(&serve->shares, words->at[0], &name);
  if (parent >= 0 && tree_remove(parent, name) == 0) return answer_done(client, "removed", 1);
  return answer_path_refused(client, "remove", words->at[0]);
}

static int do_discard(const struct serve *serve, int client, struct list *words) {
  struct failure failure = {0};
  int removed = scratch_discard(serve->state, words->at[0], &failure);
  return removed < 0 ? answer_failed(client, &failure) : answer_done(client, "removed", (uint64_t)removed);
}

static int answer_unpacked(const struct serve *serve, int client, struct list *words, bool is_layer) {
  struct failure failure = {0};
  struct unpack_report report = {0};
  struct json json;
  if (store_unpack(serve, client, words->at[0], words->at[1], is_layer, &report, &failure) != 0)
    return answer_failed(client, &failure);
  json_begin(&json);
  json_string(&json, "event", "done");
  json_unpacked(&json, &report);
  json_send(&json, client);
  return 0;
}

static int do_unpack(const struct serve *serve, int client, struct list *words) {
  return answer_unpacked(serve, client, words, false);
}

static int do_unpack_layer(const struct serve *serve, int client, struct list *words) {
  return answer_unpacked(serve, client, words, true);
}

static int do_drop(const struct serve *serve, int client, struct list *words) {
  struct failure failure = {0};
  int removed = store_drop(serve, words->at[0], &failure);
  return removed < 0 ? answer_failed(client, &failure) : answer_done(client, "removed", (uint64_t)removed);
}

static int do_export(const struct serve *serve, int client, struct list *words) {
  struct export_plan plan = {.max_bytes = DEFAULT_ARCHIVE_BYTES, .max_files = DEFAULT_ARCHIVE_FILES};
  struct export_report report = {0};
  struct failure failure = {0};
  struct sentence why = {""};
  struct json json;
  if (!is_name(words->at[0])) {
    refuse(&why, "export: %.100s is no name of a scratch", words->at[0]);
    return answer_refused(client, why.text);
  }
  int stream = open_pipe(serve, words->at[1], &why);
  if (stream < 0) return answer_refused(client, why.text);
  char *scratch = joined(serve->state, words->at[0]);
  if (scratch == NULL) return answer_refused(client, "there is no memory");
  int result = export_scratch(&plan, scratch, stream, client, &report, &failure);
  free(scratch);
  if (result != 0) return answer_failed(client, &failure);
  json_begin(&json);
  json_string(&json, "event", "done");
  json_number(&json, "files", report.files);
  json_number(&json, "bytes", report.bytes);
  json_number(&json, "leftOut", report.devices + report.sockets + report.names);
  json_send(&json, client);
  return 0;
}

static int do_gc(const struct serve *serve, int client, struct list *words) {
  (void)words;
  struct failure failure = {0};
  int cgroups = cgroup_collect(serve->cgroup, &failure);
  int scratches = cgroups < 0 ? -1 : scratch_collect(serve->state, &failure);
  int drafts = scratches < 0 ? -1 : store_collect(serve, &failure);
  return drafts < 0 ? answer_failed(client, &failure)
                    : answer_done(client, "removed", (uint64_t)cgroups + (uint64_t)scratches + (uint64_t)drafts);
}

static int do_hello(const struct serve *serve, int client, struct list *words) {
  (void)words;
  tell_ready(serve, client);
  return 0;
}

static const struct {
  const char *name, *usage;
  size_t words; /* how many it wants */
  int (*serve)(const struct serve *serve, int client, struct list *words);
} VERBS[] = {
    {"adopt", "adopt PATH", 1, do_adopt},
    {"remove", "remove PATH", 1, do_remove},
    {"discard", "discard NAME", 1, do_discard},
    {"unpack", "unpack PATH NAME", 2, do_unpack},
    {"unpack-layer", "unpack-layer PATH NAME", 2, do_unpack_layer},
    {"drop", "drop NAME", 1, do_drop},
    {"export", "export NAME PIPE", 2, do_export},
    {"gc", "gc", 0, do_gc},
    {"hello", "hello", 0, do_hello},
};

int client_serve(const struct serve *serve, int client) {
  struct list words = {0};
  struct sentence why = {""};
  if (read_request(client, &words, &why) != 0) return answer_refused(client, why.text);
  struct list rest = {.at = words.at + 1, .count = words.count - 1, .room = words.room - 1};
  if (strcmp(words.at[0], "run") == 0) return do_run(serve, client, &rest);
  for (size_t i = 0; i < sizeof VERBS / sizeof VERBS[0]; i++) {
    if (strcmp(VERBS[i].name, words.at[0]) != 0) continue;
    if (VERBS[i].words == rest.count) return VERBS[i].serve(serve, client, &rest);
    refuse(&why, "usage: %s", VERBS[i].usage);
    return answer_refused(client, why.text);
  }
  refuse(&why, "there is no request `%.100s`", words.at[0]);
  return answer_refused(client, why.text);
}
