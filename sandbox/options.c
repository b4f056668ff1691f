/* The command line of `run`: one row per option, read into a plan. Nothing is done here. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "toroid-sandbox.h"

enum { MAX_ARGS_BYTES = 8 << 20, MAX_ID = UID_COUNT - 1 };

enum kind { FLAG, TEXT, PATH, NUMBER, PARSED };

struct option {
  const char *name;
  enum kind kind;
  size_t at; /* where in the plan, for all but PARSED */
  int (*parse)(struct plan *plan, char *value, struct sentence *why);
  uint64_t least, most;
  const char *value, *help;
};

int refuse(struct sentence *why, const char *format, ...) {
  va_list rest;
  va_start(rest, format);
  vsnprintf(why->text, sizeof why->text, format, rest);
  va_end(rest);
  return -1;
}

int list_add(struct list *list, char *text) {
  if (text == NULL) return -1;
  if (list->count + 1 >= list->room) {
    size_t room = list->room == 0 ? 16 : list->room * 2;
    char **at = realloc(list->at, room * sizeof *at);
    if (at == NULL) return -1;
    list->at = at;
    list->room = room;
  }
  list->at[list->count++] = text;
  list->at[list->count] = NULL;
  return 0;
}

static int add(struct list *list, char *value, struct sentence *why) {
  return list_add(list, value) == 0 ? 0 : refuse(why, "there is no memory for the options");
}

bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *into) {
  uint64_t value = 0;
  if (*text == '\0') return false;
  for (const char *c = text; *c != '\0'; c++) {
    if (*c < '0' || *c > '9') return false;
    if (__builtin_mul_overflow(value, 10u, &value)) return false;
    if (__builtin_add_overflow(value, (uint64_t)(*c - '0'), &value)) return false;
  }
  if (value < least || value > most) return false;
  *into = value;
  return true;
}

/* Absolute, and every component names something: no "..", so that it means the same before and after a link. */
static bool is_plain_path(const char *path) {
  if (path[0] != '/' || strlen(path) >= PATH_MAX) return false;
  for (const char *c = path; (c = strstr(c, "/..")) != NULL; c += 3) {
    if (c[3] == '/' || c[3] == '\0') return false;
  }
  return true;
}

static int parse_image(struct plan *plan, char *value, struct sentence *why) {
  if (strcmp(value, "host") == 0)
    plan->image_is_host = true;
  else if (!is_plain_path(value))
    return refuse(why, "--image wants `host` or an absolute path, not `%s`", value);
  if (plan->lowers.count == MAX_LOWERS) return refuse(why, "there are too many --image options");
  return add(&plan->lowers, value, why);
}

static int parse_mask(struct plan *plan, char *value, struct sentence *why) {
  if (!is_plain_path(value) || value[1] == '\0') return refuse(why, "--mask wants an absolute path, not `%s`", value);
  return add(&plan->masks, value, why);
}

static int add_op(struct plan *plan, struct op op, struct sentence *why) {
  if (!is_plain_path(op.target) || op.target[1] == '\0')
    return refuse(why, "a mount wants an absolute path without `..` as its target, not `%s`", op.target);
  if (plan->op_count == MAX_OPS) return refuse(why, "there are too many --bind and --tmpfs options");
  plan->ops[plan->op_count++] = op;
  return 0;
}

static bool take_end(char *value, const char *end) {
  size_t length = strlen(value), wanted = strlen(end);
  if (length <= wanted || strcmp(value + length - wanted, end) != 0) return false;
  value[length - wanted] = '\0';
  return true;
}

/* SRC:DST[:ro|:counted]. The colon before the last absolute path divides, so SRC may have colons and DST may not. */
static int parse_bind(struct plan *plan, char *value, struct sentence *why) {
  struct op op = {.kind = OP_BIND, .source = value};
  op.read_only = take_end(value, ":ro");
  op.counted = !op.read_only && take_end(value, ":counted");
  char *divide = NULL;
  for (char *c = value; (c = strstr(c, ":/")) != NULL; c++) divide = c;
  if (divide == NULL || value[0] != '/')
    return refuse(why, "--bind wants SRC:DST, SRC:DST:ro or SRC:DST:counted with absolute paths, not `%s`", value);
  *divide = '\0';
  op.target = divide + 1;
  return add_op(plan, op, why);
}

static int parse_tmpfs(struct plan *plan, char *value, struct sentence *why) {
  struct op op = {.kind = OP_TMPFS, .target = value};
  char *divide = strrchr(value, ':');
  if (divide != NULL) {
    *divide = '\0';
    if (!read_number(divide + 1, 4096, INT64_MAX, &op.bytes))
      return refuse(why, "--tmpfs wants DST or DST:BYTES with at least 4096 bytes, not `%s:%s`", value, divide + 1);
  }
  return add_op(plan, op, why);
}

static int parse_env(struct plan *plan, char *value, struct sentence *why) {
  const char *equals = strchr(value, '=');
  /* the value may be a secret, so it is not repeated */
  if (equals == NULL || equals == value) return refuse(why, "--env wants KEY=VALUE");
  size_t key = (size_t)(equals - value) + 1;
  for (size_t i = 0; i < plan->env.count; i++) {
    if (strncmp(plan->env.at[i], value, key) == 0) {
      plan->env.at[i] = value; /* the last one counts */
      return 0;
    }
  }
  return add(&plan->env, value, why);
}

static int parse_user(struct plan *plan, char *value, struct sentence *why) {
  char *divide = strchr(value, ':');
  if (divide != NULL) *divide = '\0';
  if (divide == NULL || !read_number(value, 0, MAX_ID, &plan->user) ||
      !read_number(divide + 1, 0, MAX_ID, &plan->group))
    return refuse(why, "--user wants UID:GID, each from 0 to 65535");
  return 0;
}

static int parse_network(struct plan *plan, char *value, struct sentence *why) {
  if (strcmp(value, "none") == 0)
    plan->network = NETWORK_NONE;
  else if (strcmp(value, "host") == 0)
    plan->network = NETWORK_HOST;
  else if (strcmp(value, "full") == 0)
    plan->network = NETWORK_FULL;
  else
    return refuse(why, "--network wants `none`, `full` or `host`, not `%s`", value);
  return 0;
}

static int parse_allow_weak(struct plan *plan, char *value, struct sentence *why) {
  return weak_allow(&plan->allow_weak, value, why);
}

static int parse_hostname(struct plan *plan, char *value, struct sentence *why) {
  size_t length = strlen(value);
  if (length == 0 || length > 63 ||
      strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != length)
    return refuse(why, "--hostname wants 1 to 63 letters, digits, dots and dashes, not `%s`", value);
  plan->hostname = value;
  return 0;
}

bool is_name(const char *text) {
  size_t length = strlen(text);
  return length > 0 && length <= 64 && text[0] != '.' &&
         strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == length;
}

/* A path, or for a client the name of a directory that `serve` makes. */
static int parse_scratch(struct plan *plan, char *value, struct sentence *why) {
  plan->scratch = value;
  if (plan->is_client)
    return is_name(value)
               ? 0
               : refuse(why, "--scratch wants a name of letters, digits, dots and dashes, not `%.100s`", value);
  return is_plain_path(value) && value[1] != '\0' ? 0
                                                  : refuse(why, "--scratch wants an absolute path, not `%s`", value);
}

#define AT(member) offsetof(struct plan, member)
#define DAY_MS 86400000ull

static const struct option OPTIONS[] = {
    {"--image", PARSED, 0, parse_image, 0, 0, "host|DIR",
     "a read-only root file system; again for more layers, topmost first"},
    {"--mask", PARSED, 0, parse_mask, 0, 0, "PATH", "hide PATH of the image; repeatable"},
    {"--scratch", PARSED, 0, parse_scratch, 0, 0, "DIR", "a directory of the caller's, mode 0700, for what is written"},
    {"--keep-scratch", FLAG, AT(keep_scratch), NULL, 0, 0, NULL, "leave DIR for another run on what this one wrote"},
    {"--bind", PARSED, 0, parse_bind, 0, 0, "SRC:DST[:ro|:counted]",
     "show SRC at DST, root outside being root inside; counted: what is written there is on the disk's account; "
     "repeatable"},
    {"--bind-owner", NUMBER, AT(bind_owner), NULL, 1, UINT32_MAX - 2ull, "UID",
     "in binds this uid outside, not root, is root inside; who else writes there stays in the range"},
    {"--tmpfs", PARSED, 0, parse_tmpfs, 0, 0, "DST[:BYTES]", "an empty file system in memory at DST; repeatable"},
    {"--env", PARSED, 0, parse_env, 0, 0, "KEY=VALUE", "set a variable; nothing else is inherited; repeatable"},
    {"--cwd", PATH, AT(cwd), NULL, 0, 0, "DIR", "where CMD starts (default /)"},
    {"--hostname", PARSED, 0, parse_hostname, 0, 0, "NAME", "the host name inside (default toroid)"},
    {"--uid-base", NUMBER, AT(uid_base), NULL, UID_COUNT, UINT32_MAX - 2ull * UID_COUNT, "N",
     "the uid outside of uid 0 inside, first of 65536 (default: a free range from 1879048192 up)"},
    {"--user", PARSED, 0, parse_user, 0, 0, "UID:GID", "who CMD runs as inside (default 0:0)"},
    {"--network", PARSED, 0, parse_network, 0, 0, "none|full|host",
     "none: only a loopback of its own; full: a slot of the pool; host: the host's (default none)"},
    {"--netns", PATH, AT(netns), NULL, 0, 0, "FILE", "the slot for --network full: DIR/0 and so on of `net up`"},
    {"--allow-host", PARSED, 0, parse_allow, 0, 0, "HOST",
     "NAME=ADDRESS[,...], ADDRESS or NETWORK, each with :PORT or without: all that --network full reaches; repeatable"},
    {"--resolver", PATH, AT(resolver_file), NULL, 0, 0, "FILE", "what /etc/resolv.conf says with --network full"},
    {"--cgroup", PATH, AT(cgroup), NULL, 0, 0, "DIR", "the delegated cgroup v2 directory to make ours below"},
    {"--cgroup-inside", FLAG, AT(cgroup_inside), NULL, 0, 0, NULL,
     "show the run its cgroup at /sys/fs/cgroup, for it to make others in"},
    {"--memory-bytes", NUMBER, AT(memory_bytes), NULL, 1 << 20, INT64_MAX, "N", "memory of all processes together"},
    {"--pids", NUMBER, AT(pids), NULL, 2, MAX_PIDS_LIMIT, "N", "processes and threads, ours among them"},
    {"--cpu-milli", NUMBER, AT(cpu_milli), NULL, 10, 1000000, "N", "thousandths of a processor"},
    {"--cpu-weight", NUMBER, AT(cpu_weight), NULL, 1, 10000, "N", "share of busy processors (100 is any other's)"},
    {"--io-read-bps", NUMBER, AT(io_read_bps), NULL, 4096, INT64_MAX, "N",
     "bytes a second read from the scratch's disk"},
    {"--io-write-bps", NUMBER, AT(io_write_bps), NULL, 4096, INT64_MAX, "N", "bytes a second written to it"},
    {"--io-read-iops", NUMBER, AT(io_read_iops), NULL, 1, UINT32_MAX, "N", "reads a second from it"},
    {"--io-write-iops", NUMBER, AT(io_write_iops), NULL, 1, UINT32_MAX, "N", "writes a second to it"},
    {"--allow-suid", FLAG, AT(allow_suid), NULL, 0, 0, NULL,
     "setuid files of the root work, so that who is not root inside may become it (sudo)"},
    {"--allow-weak", PARSED, 0, parse_allow_weak, 0, 0, "NAME",
     "run even where the host cannot hold NAME, as `weak` of the verdict has it; repeatable"},
    {"--disk-bytes", NUMBER, AT(disk_bytes), NULL, 1 << 20, INT64_MAX, "N", "what may be written to disk in all"},
    {"--disk-inodes", NUMBER, AT(disk_inodes), NULL, 16, UINT32_MAX, "N", "files and directories, ours among them"},
    {"--disk-in-memory", FLAG, AT(disk_in_memory), NULL, 0, 0, NULL,
     "write to memory instead, N bytes of --disk-bytes"},
    {"--wall-ms", NUMBER, AT(wall_ms), NULL, 1, 366 * DAY_MS, "N", "end it after this time"},
    {"--pty", FLAG, AT(pty), NULL, 0, 0, NULL, "give CMD a terminal of its own, and pass stdin and stdout on to it"},
    {"--silence-ms", NUMBER, AT(silence_ms), NULL, 1, 366 * DAY_MS, "N", "end it after printing nothing for this time"},
    {"--output-bytes", NUMBER, AT(output_bytes), NULL, 1, INT64_MAX, "N", "end it when it has printed more than this"},
    {"--grace-ms", NUMBER, AT(grace_ms), NULL, 0, DAY_MS, "N", "from TERM to KILL when it is ended (default 5000)"},
    {"--json-status-fd", NUMBER, AT(status_fd), NULL, 3, INT32_MAX, "FD", "write the verdict there as JSON lines"},
    {"--parent-pid", NUMBER, AT(parent_pid), NULL, 1, INT32_MAX, "N", "end at once unless our parent is N"},
    {"--args", NUMBER, AT(args_fd), NULL, 0, INT32_MAX, "FD", "read more of these options from FD, each ended by NUL"},
    {"--slot", NUMBER, AT(slot), NULL, 0, MAX_SLOTS - 1, "N", "for clients of serve: whose uids and network"},
    {"--output", PATH, AT(output), NULL, 0, 0, "FIFO", "for clients of serve: where stdout and stderr go"},
    {"--lease-ms", NUMBER, AT(lease_ms), NULL, 1, DAY_MS, "N",
     "for clients of serve: end it at once when the client has said nothing for this time"},
};
/* What a client of `serve` may ask for; the rest is the host's to say. */
static const char *const FOR_CLIENTS[] = {
    "--image",        "--mask",        "--scratch",     "--keep-scratch", "--bind",         "--tmpfs",
    "--env",          "--cwd",         "--hostname",    "--user",         "--network",      "--slot",
    "--memory-bytes", "--pids",        "--cpu-milli",   "--wall-ms",      "--grace-ms",     "--output",
    "--allow-host",   "--cpu-weight",  "--io-read-bps", "--io-write-bps", "--io-read-iops", "--io-write-iops",
    "--disk-bytes",   "--disk-inodes", "--silence-ms",  "--output-bytes", "--allow-suid",   "--lease-ms",
};
static const char *const ONLY_FOR_CLIENTS[] = {"--slot", "--output", "--lease-ms"};

#define HAS(names, name) has_name(names, sizeof(names) / sizeof(names)[0], name)

static bool has_name(const char *const *names, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(names[i], name) == 0) return true;
  }
  return false;
}

enum { OPTION_COUNT = sizeof OPTIONS / sizeof OPTIONS[0] };

void print_run_options(void) {
  for (size_t i = 0; i < OPTION_COUNT; i++) {
    char left[64];
    snprintf(left, sizeof left, "%s %s", OPTIONS[i].name, OPTIONS[i].value == NULL ? "" : OPTIONS[i].value);
    printf("  %-27s %s\n", left, OPTIONS[i].help);
  }
}

static int apply(const struct option *option, struct plan *plan, char *value, struct sentence *why) {
  char *into = (char *)plan + option->at;
  switch (option->kind) {
  case FLAG: *(bool *)into = true; return 0;
  case PATH:
    if (!is_plain_path(value))
      return refuse(why, "%s wants an absolute path without `..`, not `%s`", option->name, value);
    *(const char **)into = value;
    return 0;
  case TEXT: *(const char **)into = value; return 0;
  case NUMBER: {
    if (read_number(value, option->least, option->most, (uint64_t *)into)) return 0;
    return refuse(why, "%s wants a whole number from %llu to %llu, not `%.100s`", option->name,
                  (unsigned long long)option->least, (unsigned long long)option->most, value);
  }
  case PARSED: return option->parse(plan, value, why);
  }
  return refuse(why, "%s is not understood", option->name);
}

static int parse_words(struct plan *plan, struct list *words, size_t *next, struct sentence *why);

/* All that can be read, with a NUL after it; NULL after a sentence. */
static char *read_all(int fd, size_t *used, struct sentence *why) {
  size_t room = 65536;
  char *text = malloc(room + 1);
  *used = 0;
  for (;;) {
    ssize_t got = text == NULL ? -1 : read(fd, text + *used, room - *used);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) return text;
    if (got < 0) break;
    *used += (size_t)got;
    if (*used < room) continue;
    errno = E2BIG;
    if (room >= MAX_ARGS_BYTES) break;
    char *more = realloc(text, room * 2 + 1);
    if (more == NULL) break;
    text = more;
    room *= 2;
  }
  refuse(why, "--args %d cannot be read: %s", fd, strerror(errno));
  free(text);
  return NULL;
}

/* The words live as long as the plan: they are never freed. */
static int parse_descriptor(struct plan *plan, int fd, struct sentence *why) {
  size_t used;
  char *text = read_all(fd, &used, why);
  if (text == NULL) return -1;
  close(fd);
  if (used > 0 && text[used - 1] != '\0') {
    free(text);
    return refuse(why, "what --args gives does not end in NUL");
  }
  struct list words = {0};
  for (size_t at = 0; at < used; at += strlen(text + at) + 1) {
    if (add(&words, text + at, why) != 0) return -1;
  }
  size_t next = 0;
  if (words.count > 0 && parse_words(plan, &words, &next, why) != 0) return -1;
  if (next < words.count) return refuse(why, "--args gives `%s`, which is not an option", words.at[next]);
  return 0;
}

/* Reads options up to the first word that is not one. */
static int parse_words(struct plan *plan, struct list *words, size_t *next, struct sentence *why) {
  while (*next < words->count && words->at[*next][0] == '-' && strcmp(words->at[*next], "--") != 0) {
    const struct option *option = NULL;
    char *name = words->at[(*next)++], *value = name;
    for (size_t i = 0; i < OPTION_COUNT && option == NULL; i++) {
      if (strcmp(OPTIONS[i].name, name) == 0) option = &OPTIONS[i];
    }
    if (option == NULL) return refuse(why, "there is no option `%.100s`; see toroid-sandbox --help", name);
    if (plan->is_client ? !HAS(FOR_CLIENTS, name) : HAS(ONLY_FOR_CLIENTS, name))
      return refuse(why, "%s is not for %s serve", name, plan->is_client ? "clients of" : "who is no client of");
    if (option->kind != FLAG) {
      if (*next == words->count) return refuse(why, "%s wants a value: %s", name, option->value);
      value = words->at[(*next)++];
    }
    if (apply(option, plan, value, why) != 0) return -1;
    if (option->at == AT(args_fd) && option->kind == NUMBER) {
      if (parse_descriptor(plan, (int)plan->args_fd, why) != 0) return -1;
    }
  }
  return 0;
}

int parse_run_words(struct plan *plan, struct list *words, struct sentence *why) {
  size_t next = 0;
  plan->cwd = "/";
  plan->uid_count = UID_COUNT;
  plan->hostname = "toroid";
  plan->grace_ms = 5000;
  plan->status_fd = plan->args_fd = NO_FD;
  plan->slot = NO_SLOT;
  if (parse_words(plan, words, &next, why) != 0) return -1;
  if (next == words->count || strcmp(words->at[next], "--") != 0)
    return refuse(why, "a command is missing: toroid-sandbox run [options] -- CMD [ARG...]");
  next++;
  if (next == words->count || words->at[next][0] == '\0') return refuse(why, "there is no command after --");
  for (; next < words->count; next++) {
    if (add(&plan->argv, words->at[next], why) != 0) return -1;
  }
  return 0;
}

int check_run_plan(struct plan *plan, struct sentence *why) {
  if (plan->lowers.count == 0) return refuse(why, "--image is missing");
  if (plan->scratch == NULL) return refuse(why, "--scratch is missing");
  if (plan->disk_in_memory && plan->disk_bytes == 0)
    return refuse(why, "--disk-in-memory wants --disk-bytes beside it, the size of what is in memory");
  if (plan->image_is_host && strcmp(plan->lowers.at[plan->lowers.count - 1], "host") != 0)
    return refuse(why, "--image host must be the last, the lowest layer");
  if ((plan->network == NETWORK_FULL) != (plan->netns != NULL))
    return refuse(why, "--network full and --netns go together");
  if (plan->allow_count > 0 && plan->network != NETWORK_FULL) return refuse(why, "--allow-host is for --network full");
  if (plan->allow_count > 0 && plan->resolver_file != NULL)
    return refuse(why, "--allow-host and --resolver exclude each other: who has an allow list reaches no resolver");
  if (plan->resolver_file != NULL && plan->netns == NULL) return refuse(why, "--resolver is for --network full");
  bool has_path = false;
  for (size_t i = 0; i < plan->env.count; i++) has_path |= strncmp(plan->env.at[i], "PATH=", 5) == 0;
  static char path[] = DEFAULT_PATH;
  if (!has_path) return add(&plan->env, path, why);
  return 0;
}

int parse_run(struct plan *plan, struct list *words, struct sentence *why) {
  return parse_run_words(plan, words, why) != 0 ? -1 : check_run_plan(plan, why);
}
