/* toroid-sandbox: runs one command inside walls and says how it ended.
 *
 * Three processes. The supervisor (supervise.c) is what the caller started; it keeps the host's
 * privileges, holds the clock and cleans up. Pid 1 of the sandbox (inside.c, init.c) builds the walls
 * from within and then only reaps. The command is pid 1's child and the only one that runs foreign code.
 *
 * Everything is read into a `struct plan` first, and only then done. What is done lives in a
 * `struct run`. There is no other state.
 *
 * `serve` (serve.c) is for callers without privilege: it checks what they ask for against what it was started with, and
 * a child of it becomes the supervisor. */
#ifndef TOROID_SANDBOX_H
#define TOROID_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <termios.h>

#define TOROID_VERSION "0.1.0"
#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MOUNTPOINT_OF_CGROUP2 "/sys/fs/cgroup"

enum {
  UID_COUNT = 65536, /* how many uids and gids a sandbox has of its own */
  MAX_OPS = 64,      /* --bind and --tmpfs; each bind is one descriptor passed to pid 1 */
  MAX_LOWERS = 64,
  MAX_LAYERS = MAX_LOWERS + 2, /* and masks, and the host's root */
  MAX_STEPS = 32,
  MAX_PIDS_LIMIT = 4194304,
  MAX_ALLOWED = 1024,
  MAX_SLOTS = 256,
  MAX_OPEN = 64,
};
/* Builds have uids from here up. */
#define FIRST_BUILD_UID 1879048192ull

enum { EXIT_TIMEOUT = 124, EXIT_OURS = 125, EXIT_NOT_EXECUTABLE = 126, EXIT_NOT_FOUND = 127, EXIT_SIGNAL = 128 };

/* ---- what was asked for: options.c ---- */

struct list {
  char **at; /* ends in NULL */
  size_t count, room;
};

enum op_kind { OP_BIND, OP_TMPFS };

/* A mount the caller wants in the new root, done in the order given. */
struct op {
  enum op_kind kind;
  const char *source, *target;
  int source_fd; /* O_PATH, what `serve` found at source; 0: by its path */
  bool read_only;
  bool counted; /* what is written there is part of what --disk-bytes limits */
  uint64_t bytes;
};

enum network { NETWORK_NONE, NETWORK_HOST, NETWORK_FULL };

struct cidr {
  uint32_t network; /* host order */
  unsigned prefix;
};

/* One place of the allow list. */
struct allowed {
  const char *name; /* how /etc/hosts calls it, or NULL */
  struct cidr to;
  uint16_t port; /* of TCP and UDP; 0: anything */
};

struct plan {
  struct list lowers, masks, env, argv;
  int lower_fds[MAX_LOWERS];     /* O_PATH, what `serve` found at each; 0: by its path */
  bool lower_shared[MAX_LOWERS]; /* its owners are mapped as those of binds are */
  struct op ops[MAX_OPS];
  size_t op_count;
  const char *scratch, *cwd, *hostname, *cgroup;
  const char *netns, *resolver_file; /* for --network full */
  struct allowed allow[MAX_ALLOWED]; /* all that it may reach; none: what the pool lets it */
  size_t allow_count;
  bool image_is_host, keep_scratch, allow_suid, pty;
  enum network network;
  uint64_t uid_base;   /* 0: choose one */
  uint64_t bind_owner; /* the uid outside that is uid 0 inside in binds */
  int bind_userns;     /* maps so; 0: made for the run when bind_owner asks for it; -1: no owner is mapped */
  bool is_client;      /* asked for by a client of `serve` */
  int alone_netns;     /* a network with nothing but a loopback, kept from run to run; 0: one is made for the run */
  uint64_t slot;       /* of `serve`, for a client */
  const char *output;  /* a named pipe of the client's for stdout and stderr */
  uint64_t user, group, parent_pid;
  uint64_t uid_count;   /* uids and gids that there are inside: UID_COUNT, or what a caller who is not root has */
  bool rootless;        /* the caller is not root: rootless.c */
  uint64_t caller;      /* its uid then */
  char why_single[200]; /* why it has no range of uids */
  uint64_t memory_bytes, pids, cpu_milli, wall_ms, grace_ms; /* 0: no limit */
  uint64_t cpu_weight, io_read_bps, io_write_bps, io_read_iops, io_write_iops;
  uint64_t disk_bytes, disk_inodes;
  bool disk_in_memory;
  bool cgroup_inside;                /* it is shown its cgroup, to divide it */
  uint64_t output_bytes, silence_ms; /* 0: no limit */
  uint64_t lease_ms;                 /* the client has to say that it lives within that time; 0: it need not */
  uint64_t allow_weak;               /* bits: what the host may lack */
  uint64_t status_fd, args_fd;       /* NO_FD: none */
  char resolver[4096];               /* what /etc/resolv.conf inside is to say */
  const char *hosts;                 /* what /etc/hosts is to say, or NULL */
  char *command_line;                /* as the kernel shows it */
  size_t command_line_bytes;
};

#define NO_FD UINT64_MAX
#define NO_SLOT UINT64_MAX

struct sentence {
  char text[512];
};
/* Digits only: no sign, no space, no unit. */
bool read_number(const char *text, uint64_t least, uint64_t most, uint64_t *into);
/* Letters, digits, dots and dashes, 64 at most, no dot in front: of what `serve` makes in directories of root's. */
bool is_name(const char *text);
/* Into a plan of zeros. Answers 0, or -1 after writing one sentence into `why`. */
int parse_run(struct plan *plan, struct list *words, struct sentence *why);
/* The same in two halves, for what a client of `serve` asks for: options that are not for clients are refused, and what
 * only the host knows (--netns and the like) is put in between. */
int parse_run_words(struct plan *plan, struct list *words, struct sentence *why);
int check_run_plan(struct plan *plan, struct sentence *why);
__attribute__((format(printf, 2, 3))) int refuse(struct sentence *why, const char *format, ...);
void print_run_options(void);
/* What --allow-host says: allow.c. */
int parse_allow(struct plan *plan, char *value, struct sentence *why);
/* What /etc/hosts then says, or NULL without memory. */
char *allow_hosts(const struct plan *plan);
int list_add(struct list *list, char *text);

/* ---- how it goes: report.c ---- */

/* The first thing that failed; later failures do not overwrite it. */
struct failure {
  int error; /* errno, or 0 when the sentence says it all */
  char step[32];
  char text[400];
};

struct steps {
  size_t count;
  struct {
    char name[24];
    uint64_t us;
  } at[MAX_STEPS];
};

uint64_t now_us(void);
/* Adds the time since `*mark` under `name` and moves the mark. */
void step_done(struct steps *steps, const char *name, uint64_t *mark);
/* Records `step`, errno and a formatted sentence; always answers -1, so that `return failed(…)` reads well. */
int failed(struct failure *failure, const char *step, const char *format, ...) __attribute__((format(printf, 3, 4)));
const char *errno_name(int error);
void failure_sentence(const struct failure *failure, char *into, size_t room);
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum { JSON_DEPTH = 8, JSON_RESERVE = 16 };

/* A JSON object in a fixed buffer; what does not fit, or lies too deep, is left out as a whole member. */
struct json {
  char text[4096];
  size_t used;
  unsigned depth, skipped; /* objects and lists in it that are open; those open in one that was left out */
  bool first;
};
void json_begin(struct json *json);
/* In a list the key is NULL; a value that is NULL is null. */
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, uint64_t value);
void json_number_or_null(struct json *json, const char *key, bool known, uint64_t value);
void json_open(struct json *json, const char *key);
void json_close(struct json *json);
void json_list(struct json *json, const char *key);
void json_list_end(struct json *json);
void json_raw(struct json *json, const char *key, const char *value);
/* Ends the object and writes it as one line; a reader that is gone or stuck does not stop us. */
void json_send(struct json *json, int fd);

/* Runs a program with `input` as its standard input, in the network namespace `netns` unless that is -1: tools.c. */
int tool_run(const char *step, const char *const *argv, int input, int netns, struct failure *failure);

/* ---- limits and the end of everything: cgroup.c, limits.c, usage.c, culprit.c ---- */

enum limit {
  LIMIT_MEMORY,
  LIMIT_PIDS,
  LIMIT_CPU,
  LIMIT_CPU_WEIGHT,
  LIMIT_IO_READ_BPS,
  LIMIT_IO_WRITE_BPS,
  LIMIT_IO_READ_IOPS,
  LIMIT_IO_WRITE_IOPS,
  LIMIT_DISK_BYTES, /* these two: disk.c */
  LIMIT_DISK_INODES,
  LIMIT_COUNT
};
#define UNSUPPORTED "unsupported: "

struct cgroup {
  int fd;      /* ours, locked while we live; -1 when the host has no cgroup v2 */
  int base_fd; /* the directory it was made in */
  bool base_is_default;
  char name[32];                /* toroid-<random> */
  char path[4096];              /* for the verdict only: nothing is opened by it twice */
  char why_none[200];           /* when fd is -1 */
  char limit[LIMIT_COUNT][256]; /* "" not asked for, "enforced", or "unsupported: …" */
};

enum { PRESSURE_CPU, PRESSURE_MEMORY, PRESSURE_IO, PRESSURE_COUNT };

struct cgroup_stats {
  bool has_cpu, has_memory_peak, has_pids_peak, has_io, has_pressure[PRESSURE_COUNT];
  uint64_t cpu_us, cpu_user_us, cpu_system_us, throttled_us;
  uint64_t memory_peak, pids_peak;
  uint64_t io_read_bytes, io_write_bytes, io_reads, io_writes;
  uint64_t pressure_us[PRESSURE_COUNT]; /* how long at least one process waited */
  uint64_t oom_kills;                   /* of ours, whoever had no memory left */
  uint64_t memory_refused;              /* how often it was our own limit */
  uint64_t memory_refused_below;        /* or that, or one of a cgroup that the run made */
  uint64_t pids_refused;
};

struct culprit {
  char name[32]; /* as it called itself, plain characters only; "" not known */
};

/* `disk`: the device that the scratch is on, for the limits of reading and writing. */
int cgroup_create(struct cgroup *cgroup, const struct plan *plan, dev_t disk, struct failure *failure);
/* Writes what the plan asks for into our cgroup, and into `limit` how that went. */
void limits_set(struct cgroup *cgroup, const struct plan *plan, dev_t disk, const char *base);
/* As the verdict calls it. */
const char *limit_name(int which);
/* The process that was chosen when a run's memory ran out. The first looks through the kernel's log, the second at one
 * record of it. */
bool culprit_find(const char *cgroup, struct culprit *culprit);
bool culprit_in(const char *record, const char *cgroup, struct culprit *culprit);
/* Lets uid 0 inside make cgroups in it and move processes among these. Its limits stay the host's. */
int cgroup_give(const struct cgroup *cgroup, const struct plan *plan, uint64_t uid_base, struct failure *failure);
/* How many processes are in it and below it. */
size_t cgroup_count(const struct cgroup *cgroup);
/* SIGKILL to all in it, then waits until none is left. */
void cgroup_kill(const struct cgroup *cgroup);
void cgroup_read(const struct cgroup *cgroup, struct cgroup_stats *stats);
int cgroup_remove(struct cgroup *cgroup);
/* Where the v2 hierarchy is; NULL: nowhere. */
const char *cgroup_mount(void);

enum delegation { NOT_DELEGATED, DELEGATED_TO_US, DELEGATED_ABOVE };
/* Whose cgroup is ours to divide, when we are in `own`: delegation.c. */
enum delegation delegation_of(const char *own, bool is_delegated, bool is_parent_delegated);
/* Empties the cgroup that we are in if it is delegated to us, or is the `given` one, so that others can be made in it.
 * Answers 1 and where to make them, 0 when nothing is to be changed, -1 after a sentence. */
int delegation_take(const char *given, char *base, size_t room, struct failure *failure);

/* Removes every toroid-* below `base` (NULL: the default) whose helper is dead. Answers how many, or -1. */
int cgroup_collect(const char *base, struct failure *failure);

/* ---- what a run may be weaker in: weak.c ---- */

enum weakness {
  WEAK_NEVER, /* of a wall: it stands, or the run does not begin */
  WEAK_NETWORK_HOST,
  WEAK_IMAGE_HOST,
  WEAK_SUID,
  WEAK_ROOTLESS,
  WEAK_SINGLE_UID,
  WEAK_NO_CGROUP,
  WEAK_NO_CGROUP_NAMESPACE,
  WEAK_LIMIT, /* and one for each limit */
  WEAK_COUNT = WEAK_LIMIT + LIMIT_COUNT,
  WEAK_FIRST = WEAK_NEVER + 1,
};
#define WEAK_BIT(weakness) (1ull << (weakness))

struct weak_name {
  char text[32];
};
void weak_name(unsigned weakness, struct weak_name *into);
/* As a list of names. */
void json_weak(struct json *json, const char *key, uint64_t weak);
/* Adds what `name` names to `set`, or answers -1 after a sentence with all names. */
int weak_allow(uint64_t *set, const char *name, struct sentence *why);
uint64_t weak_of(const struct plan *plan, const struct cgroup *cgroup);
/* Those of `weak` that the caller neither chose nor allowed. */
uint64_t weak_without_leave(uint64_t weak, const struct plan *plan);
int weak_refuse(uint64_t lacks, const struct plan *plan, const struct cgroup *cgroup, struct failure *failure);
/* Adds to what is said of a wall that fell how to go on without it. */
void weak_hint(unsigned weakness, struct failure *failure);

/* ---- where the build writes: scratch.c, tree.c, uids.c ---- */

enum disk_kind { DISK_UNLIMITED, DISK_QUOTA, DISK_LOOP, DISK_IN_MEMORY, DISK_MEMORY_KEPT };

/* As in the verdict; "" not asked for. */
struct disk_limits {
  char bytes[256], inodes[256];
};

struct scratch {
  int parent_fd, fd, lock_fd;
  enum disk_kind kind; /* what holds it to its limit: disk.c */
  int disk;            /* the directory of upper and work: `fd`, or the root of a file system of its own */
  int mounts;          /* the mount namespace in which it was attached; 0: nothing was */
  uint32_t project;    /* 0: none */
  uint64_t disk_bytes; /* the size of the file system that an earlier run left; 0: it left none */
  dev_t device;        /* of `disk` */
  char name[256];      /* in the parent */
  bool reused;         /* an earlier run left its upper here */
};

int scratch_open(struct scratch *scratch, struct plan *plan, struct failure *failure);
int scratch_prepare(struct scratch *scratch, uint64_t uid_base, struct failure *failure);
/* Moves it out of the way and deletes it in a process of its own. */
int scratch_remove(const struct scratch *scratch);
/* The same in two steps, for who has the time to delete it by itself. */
int scratch_put_aside(const struct scratch *scratch, char *trash, size_t room);
void scratch_delete(const struct scratch *scratch, const char *trash);
enum { TRASH_NAME_BYTES = 320 };
int scratch_collect(const char *state, struct failure *failure);
/* Removes the one of that name below `state`; 0 when there is none, -1 when a run is on it. */
int scratch_discard(const char *state, const char *name, struct failure *failure);
/* Removes `name` below `dir` and all in it; follows nothing, bounded in descriptors whatever the depth. */
int tree_remove(int dir, const char *name);
/* Locks a range nobody else on this host has; `wanted` 0 chooses. Held until the descriptor is closed. */
int uids_lock(uint64_t *base, uint64_t wanted, struct failure *failure);
/* Sets `count` ranges aside for one `serve`, from the top down. They are locked run by run all the same. */
int uids_reserve(uint64_t *bases, size_t count, struct failure *failure);
/* A user namespace that maps `owner` to uid 0 of the range and the rest of the range to itself. */
int userns_for_owner(uint64_t uid_base, uint64_t owner, uint64_t group, struct failure *failure);

/* ---- started by a user that is not root: rootless.c ---- */

/* Enters a user namespace in which the caller is uid 0, and refuses what only root can do. */
int rootless_enter(struct plan *plan, struct failure *failure);

/* ---- the network: slot.c for a run, net.c and pool.c to set up and take down; between these: network.h ---- */

/* The pooled network namespace that a run is in. */
struct slot {
  int netns;     /* locked while we live; -1 when the run has no slot */
  int netfilter; /* to the host's rules and connections; -1: it has no way out, so nothing of it is there */
  uint32_t address;
  char table[24];      /* of the pool's rules */
  bool may_be_limited; /* by an allow list, in the rules */
  bool is_ours;        /* cleared for us, so that what is in it now is ours to clear */
};

/* Enters a new one with nothing but a loopback: alone.c. */
int network_alone(struct failure *failure);
/* Makes one without staying in it. A descriptor. */
int network_alone_keep(struct failure *failure);
/* Enters a kept one and makes sure that nothing of an earlier run is left. */
int slot_enter_alone(struct slot *slot, int netns, struct failure *failure);
/* Enters one of the pool, the same, and holds it to the plan's allow list. */
int slot_enter(struct slot *slot, const struct plan *plan, struct failure *failure);
/* Clears it again, unless processes of the run are left in it: then that is for who enters next. */
void slot_leave(struct slot *slot, bool all_dead);

struct pool_plan {
  const char *state;
  uint64_t slots;
  struct cidr subnet; /* of all pools; each takes a free part of it */
  struct cidr open[MAX_OPEN];
  size_t open_count;
  uint32_t dns[8];
  size_t dns_count;
  uint64_t connections; /* that a slot may have open, and begin in a minute; 0: chosen */
  bool forward;
};

struct pool {
  char state[4096]; /* without links */
  uint32_t id;      /* 24 bits of a hash of it: what all our names and numbers are made from */
  char bridge[16], table[24];
  struct cidr block;
  uint32_t gateway;
};

/* The options of `net up` that make a plan. */
void net_defaults(struct pool_plan *plan);
int net_option(struct pool_plan *plan, const char *name, const char *value);
/* With the host's resolvers when no other was named. */
int net_up(struct pool_plan *plan, struct pool *pool, struct failure *failure);
/* Makes the pool of `plan->state`, or takes away what it made and answers -1. */
int pool_up(struct pool_plan *plan, struct pool *pool, struct failure *failure);
/* Removes all of it, whatever is there. Answers how many things there were, or -1. With `unless_used`, leaves a pool
 * with a run in it alone. */
int pool_down(const char *state, bool unless_used, struct failure *failure);

/* ---- what the root is made of: image.c, overlay.c, mask.c, mounts.c ---- */

/* Topmost first, each a mount attached nowhere. */
struct layers {
  int fds[MAX_LAYERS];
  size_t count;
};

/* Where overlays find their layers. */
struct stage {
  int fd; /* -1: this kernel takes them where they are */
  int scratch;
  size_t count;
};

enum overlay_kind { OVERLAY_OF_ROOT, OVERLAY_ROOTLESS, OVERLAY_READ_ONLY };

/* The working directory must be the scratch. To be closed also when it fails. */
int stage_open(struct stage *stage, const struct scratch *scratch, struct failure *failure);
/* A mount attached nowhere. */
int stage_overlay(struct stage *stage, const struct layers *layers, enum overlay_kind kind, struct failure *failure);
void stage_close(struct stage *stage);

/* The overlay, attached nowhere. The working directory must be the scratch. */
int image_mount(const struct plan *plan, const struct scratch *scratch, int userns, uint64_t uid_base,
                struct steps *steps, struct failure *failure);
/* Whether layers may be mounts that are attached nowhere. */
bool overlay_takes_detached(void);
/* Overlay's mark of a directory that hides what is below it. */
const char *opaque_attribute(bool rootless);
/* Fills the empty directory `layer` with what hides the secrets and --mask paths that `lower` has. */
int mask_build(int layer, int lower, bool host, const struct plan *plan, uint64_t uid_base, struct failure *failure);
/* What is written there is on the scratch's account, if the caller wants that and it is on the same file system. */
int bind_open(const struct op *op, int userns, const struct scratch *scratch, struct failure *failure);
struct mount_attr;
/* Owners shown through the user namespace; -1: as they are. */
struct mount_attr mapped_by(int userns);
/* The rest of a sentence, after a clone of a tree failed: who is not root may not show what root has covered. */
const char *why_not_cloned(int userns);
/* Without nodes where the caller may not make any: dev_bind then puts the host's over what stands in for them. */
int dev_make(uint64_t uid_base, bool with_nodes, struct failure *failure);
int dev_bind(int dev, struct failure *failure);

struct fs_option {
  const char *key, *value;
};
/* A new file system as a descriptor: fsopen, fsconfig, fsmount. On failure `why` has the kernel's words. */
int fs_make(const char *type, const struct fs_option *options, unsigned attributes, struct failure *failure,
            const char *step);
/* A directory or file below `root` that nothing can lead out of, made when missing. O_PATH. */
int path_in_root(int root, const char *path, bool directory, struct failure *failure, const char *step);
/* A directory directly in `root` that must be one: no link, no file. Made when missing. O_PATH. */
int plain_directory(int root, const char *name, struct failure *failure, const char *step);

/* ---- the walls: inside.c, walls.c; pid 1: init.c ---- */

/* What pid 1 knows: a copy of the plan and what the supervisor sent. */
struct inside {
  const struct plan *plan;
  const struct cgroup *cgroup;
  int supervisor; /* socket */
  int here;       /* the caller's scratch directory, where the new root is attached for a moment */
  int root, dev;
  int proc, pts, shm, tmp, run; /* made while the supervisor makes the root; -1: the caller mounts something there */
  int binds[MAX_OPS];
  size_t bind_count;
  uint64_t weak; /* walls that this kernel does not have */
  struct steps steps;
  struct failure failure;
};

__attribute__((noreturn)) void inside_main(struct inside *inside);
__attribute__((noreturn)) void init_main(struct inside *inside);

int setup_rlimits(struct inside *inside);
int setup_terminal(struct inside *inside);
int setup_descriptors(struct inside *inside);
int setup_bounding_set(struct inside *inside);
/* For pid 1 once the command runs: all it does from then on is to pass TERM on. */
void keep_only_kill(void);
int setup_no_new_privs(struct inside *inside);
int setup_anonymous(struct inside *inside);
int setup_not_dumpable(struct inside *inside);
int setup_seccomp(struct inside *inside);
int setup_capabilities(struct inside *inside);

/* ---- what the command prints, where the supervisor passes it on: relay.c ---- */

struct pollfd;
enum { MAX_STREAMS = 3, RELAY_PATIENCE_MS = 10000 };

/* FREE never waits, a SOCKET does not when asked at each call, of any other what it polls for is taken in small parts.
 */
enum channel_kind { CHANNEL_FREE, CHANNEL_SOCKET, CHANNEL_CAREFUL };

struct channel {
  int fd; /* -1: at its end */
  enum channel_kind kind;
};

struct stream {
  struct channel from, to;
  bool is_output; /* of the command: counted, and a sign of life */
  bool in_a_line; /* what was typed last was no end of one */
  char *bytes;
  size_t used, sent;
};

struct relay {
  struct stream at[MAX_STREAMS];
  size_t count;                    /* 0: the command has the caller's own descriptors */
  uint64_t limit, passed, dropped; /* bytes of output; limit 0: none */
  uint64_t heard_at;               /* when some of it came, or the caller took some */
  bool is_over;                    /* the limit was passed */
};

/* `ends` become the command's stdout and stderr; one pipe for both where the caller's are one file. */
int relay_open(struct relay *relay, const struct plan *plan, uint64_t uid_base, int ends[2], struct failure *failure);
/* The same for a terminal: what it shows goes to stdout, and stdin is typed into it. */
int relay_terminal(struct relay *relay, const struct plan *plan, int master, struct failure *failure);
/* Nothing more is typed or shown. */
void relay_hang_up(struct relay *relay);
/* `on` has MAX_STREAMS places. */
void relay_watch(const struct relay *relay, struct pollfd *on);
void relay_pass(struct relay *relay, const struct pollfd *on);
/* The caller does not take what the command has printed. */
bool relay_is_held_up(const struct relay *relay);
/* When nothing is alive that could print: passes on what there is, as long as the caller takes some in time and neither
 * of the descriptors (-1: none) is readable. */
void relay_finish(struct relay *relay, const int giving_up[2]);

/* ---- a terminal for the command: terminal.c ---- */

struct terminal {
  int master; /* -1: none */
  bool is_raw;
  struct termios before; /* of the caller's */
};

/* From pid 1, once. The caller's own is raw from then on, until it is given back. */
int terminal_take(struct terminal *terminal, int master);
void terminal_give_back(struct terminal *terminal);
/* As large as the caller's. */
void terminal_resize(const struct terminal *terminal);
/* The keys that mean that there is no more input; how many. */
size_t terminal_end_of_input(int master, bool in_a_line, char into[2]);

/* ---- between supervisor and pid 1: one SOCK_SEQPACKET, whole messages ---- */

enum message_kind {
  MESSAGE_MAPS,
  MESSAGE_ROOT,
  MESSAGE_TERM,
  MESSAGE_TERMINAL,
  MESSAGE_FAILED,
  MESSAGE_STARTING,
  MESSAGE_STARTED,
  MESSAGE_EXITED
};

struct message {
  enum message_kind kind;
  int status;    /* EXITED: as from wait; FAILED: exit code of the helper */
  pid_t pid;     /* STARTED: as seen inside */
  uint64_t weak; /* STARTED: walls gone without; FAILED: the wall it could go without, given leave */
  struct failure failure;
  struct steps steps;
};

int message_send(int socket, const struct message *message, const int *fds, size_t count);
/* 1: one came, 0: the other side is gone, -1: errno. Texts in it end, and nothing is counted that is not in it. */
int message_receive(int socket, struct message *message, int *fds, size_t *count);

/* ---- one run, as the supervisor sees it: supervise.c; told by verdict.c ---- */

enum reason { REASON_NONE, REASON_TIMEOUT, REASON_CANCELLED, REASON_OUTPUT, REASON_SILENCE, REASON_LEASE };

struct run {
  struct plan plan;
  struct scratch scratch;
  struct disk_limits disk_limits;
  bool disk_full; /* at the end */
  struct cgroup cgroup;
  struct slot slot;
  struct cgroup_stats stats;
  struct culprit culprit;
  struct relay relay;
  struct terminal terminal;
  struct steps steps;
  struct failure failure; /* of ours, or of pid 1 while it set up */
  int failure_code;       /* 0: EXIT_OURS */
  uint64_t uid_base, began, started_at, ended_at, kill_at;
  uint64_t renewed_at; /* when the client was heard of last */
  uint64_t lacks; /* what of the host ended it: bits as in `weak` */
  bool has_scratch, orphan, interrupted, may_run, started, over, has_status, undead;
  int status_fd, uids_fd, init_fd, socket, signal_fd, parent_fd;
  int mounts_fd; /* pid 1's mount namespace, held past its end; -1: not */
  int client;    /* of `serve`: T and K end the run, so does its end, or silence; -1: there is none */
  pid_t init;
  int status, init_status; /* of the command, of pid 1 */
  enum reason reason;      /* why we ended it, if we did */
  size_t leftovers;
  struct rusage usage;
};

void tell_created(const struct run *run);
void tell_started(struct run *run, const struct message *message);
void tell_exit(struct run *run);
void tell_gone(const struct run *run);
int exit_code(const struct run *run);
int watch_run_signals(struct run *run);
/* Kills what is left, waits until it is gone, tells what it was, and removes everything: end.c. */
void end_everything(struct run *run);
/* What pid 1 said before it ended, as our failure. */
int lost_init(struct run *run, const char *step);
/* For a command line that is no plan: the same exit event, as far as a status descriptor was read. */
void refuse_run(const struct plan *plan, const struct sentence *why);

/* ---- for callers without privilege: serve.c, client.c, share.c, adopt.c ---- */

enum { MAX_SHARES = 16 };

/* A directory that clients may name things in. */
struct share {
  const char *path; /* without links */
  int fd;
};

struct shares {
  struct share at[MAX_SHARES];
  size_t count;
};

int shares_add(struct shares *shares, const char *path, struct failure *failure);
/* What lies at `path` in one of them, reached without following anything. O_PATH; -1 with errno, EPERM when it lies in
 * none. */
int shares_open(const struct shares *shares, const char *path, uint64_t flags);
/* What the errno of that means, for people. */
const char *shares_why_not(int error);
/* The directory that `path` is in, and its last name. */
int shares_open_parent(const struct shares *shares, const char *path, const char **name);

struct serve {
  const char *socket, *state, *cgroup, *net;
  struct shares shares, images;
  struct pool_plan pool;
  uint64_t client_uid, client_gid, parent_pid, slots;
  uint64_t uid_bases[MAX_SLOTS];
  int owner_userns[MAX_SLOTS];
  int alone_netns[MAX_SLOTS]; /* for --network none */
  uint64_t allow_weak;        /* what the host may fail to hold runs to: not for a client to say */
  bool may_share_network;     /* --network host is for clients as well */
  bool has_pool;
  char why_no_pool[640];
  char *command_line;
  size_t command_line_bytes;
};

/* u32, little-endian, how many bytes follow; then words, each ended by NUL, and one at least. They live until the next
 * request is read: a process serves one. */
int read_request(int client, struct list *words, struct sentence *why);
/* One request, in a process of its own; answers its exit code. */
int client_serve(const struct serve *serve, int client);
/* Gives the client all below `dir` that a build's uids own, so that it can read and remove it. Answers how many things
 * changed hands, or -1. */
long adopt_tree(const struct serve *serve, int dir, struct failure *failure);
/* Removes an image that a client had unpacked. Answers 1, 0 when it is not there, or -1. */
int store_drop(const struct serve *serve, const char *name, struct failure *failure);

/* Removes what was left of images when their unpacking was killed. Answers how many, or -1. */
int store_collect(const struct serve *serve, struct failure *failure);
/* What `hello` is answered with, and what is said once all is ready. */
void tell_ready(const struct serve *serve, int fd);

/* ---- commands ---- */

/* How long the words are that the program was started with, the environment behind them included: of a command's
 * arguments, which two words come before. */
size_t command_line_bytes(int argc, char **argv);

/* @param client a client of `serve`, who also gets the verdict; -1: none */
int run_command(const struct plan *plan, int client);
int serve_command(int argc, char **argv);
void print_serve_options(void);
int check_command(int argc, char **argv);
int gc_command(int argc, char **argv);
int net_command(int argc, char **argv);
void print_net_options(void);

/* ---- the kernel's newer calls, for C libraries that do not have them: sys.c ---- */

struct clone_args;
struct mount_attr;
struct open_how;
pid_t sys_clone3(struct clone_args *args);
int sys_open_tree(int dir, const char *path, unsigned flags);
int sys_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags);
int sys_fsopen(const char *type);
int sys_fsconfig(int fs, unsigned command, const char *key, const char *value);
int sys_fsmount(int fs, unsigned attributes);
int sys_mount_setattr(int dir, const char *path, unsigned flags, struct mount_attr *attr);
int sys_openat2(int dir, const char *path, uint64_t flags, uint64_t resolve);
int sys_pivot_root(const char *root, const char *old);
int sys_umount(const char *path, int flags);
int sys_make_private(const char *path);
int sys_pidfd_open(pid_t pid);
int sys_pidfd_kill(int pidfd, int signal);
int sys_close_range(unsigned first, unsigned last);
bool write_text(int dir, const char *path, const char *text);
ssize_t read_text(int dir, const char *path, char *into, size_t room);

#endif
