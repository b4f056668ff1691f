/* `serve`: does for a caller without privilege what needs it. The one process of an executor that stays root: it holds
 * no state of a run, makes a child for each request (client.c) and reaps it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "serve"
/* For each slot a run, and time and again something to be removed. Who comes beyond that waits. */
enum { WORKERS_PER_SLOT = 4, WORKERS_BESIDES = 16, BACKLOG = 128 };
enum { LINGER_MS = 1000 };
#define NO_ID UINT64_MAX

/* ---- options ---- */

static int take_text(const char **into, const char *value) {
  *into = value;
  return 0;
}

static int take_number(uint64_t *into, const char *name, const char *value, uint64_t least, uint64_t most) {
  if (read_number(value, least, most, into)) return 0;
  complain("%s wants a whole number from %llu to %llu, not `%.100s`", name, (unsigned long long)least,
           (unsigned long long)most, value);
  return -1;
}

static int take_share(struct shares *shares, const char *value) {
  struct failure failure = {0};
  char sentence[640];
  if (shares_add(shares, value, &failure) == 0) return 0;
  failure_sentence(&failure, sentence, sizeof sentence);
  complain("%s", sentence);
  return -1;
}

static int take_weakness(uint64_t *set, const char *value) {
  struct sentence why = {""};
  if (weak_allow(set, value, &why) == 0) return 0;
  complain("%s", why.text);
  return -1;
}

static int take_option(struct serve *serve, const char *name, const char *value) {
  if (strcmp(name, "--socket") == 0) return take_text(&serve->socket, value);
  if (strcmp(name, "--state") == 0) return take_text(&serve->state, value);
  if (strcmp(name, "--cgroup") == 0) return take_text(&serve->cgroup, value);
  if (strcmp(name, "--net") == 0) return take_text(&serve->net, value);
  if (strcmp(name, "--share") == 0) return take_share(&serve->shares, value);
  if (strcmp(name, "--images") == 0) return take_share(&serve->images, value);
  if (strcmp(name, "--allow-weak") == 0) return take_weakness(&serve->allow_weak, value);
  if (strcmp(name, "--slots") == 0) return take_number(&serve->slots, name, value, 1, MAX_SLOTS);
  if (strcmp(name, "--client-uid") == 0) return take_number(&serve->client_uid, name, value, 0, FIRST_BUILD_UID - 1);
  if (strcmp(name, "--client-gid") == 0) return take_number(&serve->client_gid, name, value, 0, FIRST_BUILD_UID - 1);
  if (strcmp(name, "--parent-pid") == 0) return take_number(&serve->parent_pid, name, value, 1, INT32_MAX);
  return net_option(&serve->pool, name, value);
}

static int usage(void) {
  complain("usage: toroid-sandbox serve --socket PATH --state DIR --client-uid UID --slots N [options]; "
           "see toroid-sandbox --help");
  return -1;
}

void print_serve_options(void) {
  puts("  --socket PATH               where clients connect; made anew, for the client alone\n"
       "  --client-uid UID            who the client is\n"
       "  --client-gid GID            its group (default UID)\n"
       "  --state DIR                 of root, mode 0700: the scratches of runs are made in it\n"
       "  --slots N                   how many runs at once; each slot has uids and a network of its own\n"
       "  --share DIR                 the client's: binds and pipes must lie in one; repeatable\n"
       "  --images DIR                images must lie in one, or in a share; unpacked into the first; repeatable\n"
       "  --net DIR                   make a pool of networks there (with the options of net up) for --network full\n"
       "  --may-share-network         clients may have --network host\n"
       "  --allow-weak NAME           as for run, of all runs; repeatable\n"
       "  --cgroup DIR                as for run\n"
       "  --parent-pid N              end when that process, our parent, does, or closes the pipe it gave us as stdin");
}

static int read_options(struct serve *serve, int argc, char **argv) {
  net_defaults(&serve->pool);
  serve->client_uid = serve->client_gid = NO_ID;
  for (int i = 0; i < argc; i++) {
    if (strcmp(argv[i], "--may-share-network") == 0)
      serve->may_share_network = true;
    else if (strcmp(argv[i], "--forward") == 0)
      serve->pool.forward = true;
    else if (i + 1 == argc)
      return usage();
    else if (take_option(serve, argv[i], argv[i + 1]) != 0)
      return -1;
    else
      i++;
  }
  if (serve->socket == NULL || serve->state == NULL || serve->client_uid == NO_ID || serve->slots == 0) return usage();
  if (serve->client_gid == NO_ID) serve->client_gid = serve->client_uid;
  return 0;
}

/* ---- getting ready ---- */

static int check_state(const struct serve *serve, struct failure *failure) {
  struct stat dir;
  if (lstat(serve->state, &dir) != 0) return failed(failure, STEP, "cannot look at --state %s", serve->state);
  errno = 0;
  if (S_ISDIR(dir.st_mode) && dir.st_uid == 0 && (dir.st_mode & 077) == 0) return 0;
  return failed(failure, STEP, "--state %s must be a directory of root's with mode 0700", serve->state);
}

/* A socket that nobody listens on any more is in the way; one that somebody does stays. */
static int listen_at(const struct serve *serve, struct failure *failure) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  errno = ENAMETOOLONG;
  if (strlen(serve->socket) >= sizeof address.sun_path) return failed(failure, STEP, "--socket %s", serve->socket);
  strcpy(address.sun_path, serve->socket);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
    errno = 0;
    return failed(failure, STEP, "somebody serves at %s already", serve->socket);
  }
  if (errno == ECONNREFUSED) (void)unlink(serve->socket);
  mode_t before = umask(0177);
  int bound = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof address);
  umask(before);
  if (bound == 0 && lchown(serve->socket, (uid_t)serve->client_uid, (gid_t)serve->client_gid) == 0 &&
      listen(fd, BACKLOG) == 0)
    return fd;
  return failed(failure, STEP, "cannot listen at %s", serve->socket);
}

static int make_slots(struct serve *serve, struct failure *failure) {
  if (uids_reserve(serve->uid_bases, serve->slots, failure) != 0) return -1;
  for (uint64_t i = 0; i < serve->slots; i++) {
    serve->owner_userns[i] = userns_for_owner(serve->uid_bases[i], serve->client_uid, serve->client_gid, failure);
    serve->alone_netns[i] = serve->owner_userns[i] < 0 ? -1 : network_alone_keep(failure);
    if (serve->alone_netns[i] < 0) return -1;
  }
  return 0;
}

/* Without one, --network full is refused with this reason; whether that will do is the client's to say. */
static void make_pool(struct serve *serve) {
  struct failure failure = {0};
  static struct pool pool;
  if (serve->net == NULL) {
    snprintf(serve->why_no_pool, sizeof serve->why_no_pool, "serve was started without --net");
    return;
  }
  serve->pool.state = serve->net;
  serve->pool.slots = serve->slots;
  serve->has_pool = pool_down(serve->net, true, &failure) >= 0 && net_up(&serve->pool, &pool, &failure) == 0;
  if (!serve->has_pool) failure_sentence(&failure, serve->why_no_pool, sizeof serve->why_no_pool);
}

void tell_ready(const struct serve *serve, int fd) {
  struct json json;
  json_begin(&json);
  json_string(&json, "event", "ready");
  json_string(&json, "version", TOROID_VERSION);
  json_number(&json, "slots", serve->slots);
  json_raw(&json, "pool", serve->has_pool ? "true" : "false");
  json_string(&json, "poolMessage", serve->has_pool ? NULL : serve->why_no_pool);
  json_raw(&json, "mayShareNetwork", serve->may_share_network ? "true" : "false");
  json_raw(&json, "leases", "true");
  json_string(&json, "store", serve->images.count == 0 ? NULL : serve->images.at[0].path);
  json_send(&json, fd);
}

/* ---- at work ---- */

enum { IDLE_AHEAD = 2 };

/* A process for a client that is to come: it has what does not depend on what will be asked. */
struct worker {
  pid_t pid;
  bool busy;
};

struct workers {
  struct worker at[WORKERS_PER_SLOT * MAX_SLOTS + WORKERS_BESIDES];
  size_t count, idle;
  int taken[2]; /* a pid for each worker that has got a client */
  int stop[2];  /* at its end, idle workers go: also when serve was killed */
};

static bool is_allowed(const struct serve *serve, int client) {
  struct ucred who;
  socklen_t length = sizeof who;
  if (getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &length) != 0) return false;
  return who.uid == serve->client_uid || who.uid == 0;
}

/* Of several that wait, one gets the client. -1: there is none to come. */
static int await_client(const struct serve *serve, int listener, int stop) {
  for (;;) {
    struct pollfd on[] = {{.fd = listener, .events = POLLIN}, {.fd = stop, .events = POLLIN}};
    if (poll(on, 2, -1) < 0 && errno != EINTR) return -1;
    if (on[1].revents != 0) return -1;
    int client = on[0].revents == 0 ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (client >= 0 && is_allowed(serve, client)) return client;
    if (client >= 0) close(client);
  }
}

/* All but the connection is let go, then the client hears that this is the end. It may be saying something just now, as
 * it does to renew a lease: a write that is refused can cost it what it has not read of our answer, so it hangs up first. */
static void see_off(int client) {
  char words[64];
  uint64_t until = now_us() + LINGER_MS * 1000ull;
  if (client > 0) (void)close_range(0, (unsigned)client - 1, 0);
  (void)close_range((unsigned)client + 1, ~0u, 0);
  if (shutdown(client, SHUT_WR) != 0) return;
  for (uint64_t now = now_us(); now < until; now = now_us()) {
    struct pollfd ready = {.fd = client, .events = POLLIN};
    if (poll(&ready, 1, (int)((until - now) / 1000) + 1) < 0 && errno != EINTR) return;
    ssize_t got = recv(client, words, sizeof words, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return;
  }
}

static int work(const struct serve *serve, struct workers *workers, int listener) {
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  close(workers->stop[1]);
  close(workers->taken[0]);
  int client = await_client(serve, listener, workers->stop[0]);
  if (client < 0) return 0;
  pid_t self = getpid();
  if (write(workers->taken[1], &self, sizeof self) != sizeof self) return EXIT_OURS;
  close(listener);
  close(workers->taken[1]);
  close(workers->stop[0]);
  int status = client_serve(serve, client);
  see_off(client);
  return status;
}

static void add_worker(const struct serve *serve, struct workers *workers, int listener) {
  pid_t pid = fork();
  if (pid == 0) _exit(work(serve, workers, listener));
  if (pid < 0) return; /* the next event tries again */
  workers->at[workers->count++] = (struct worker){.pid = pid};
  workers->idle++;
}

static size_t most_workers(const struct serve *serve) {
  return WORKERS_PER_SLOT * serve->slots + WORKERS_BESIDES;
}

static void note_taken(struct workers *workers) {
  for (pid_t pid; read(workers->taken[0], &pid, sizeof pid) == sizeof pid;) {
    for (size_t i = 0; i < workers->count; i++) {
      if (workers->at[i].pid != pid || workers->at[i].busy) continue;
      workers->at[i].busy = true;
      workers->idle--;
    }
  }
}

/* Also what clients' processes left to us. */
static void reap(struct workers *workers) {
  for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) > 0;) {
    for (size_t i = 0; i < workers->count; i++) {
      if (workers->at[i].pid != pid) continue;
      workers->idle -= !workers->at[i].busy;
      workers->at[i] = workers->at[--workers->count];
    }
  }
}

/* Until told to stop or alone; then until the last run is over, for what runs is the clients' to end. */
static int serve_clients(const struct serve *serve, int listener, int signals, int parent) {
  static struct workers workers;
  if (pipe2(workers.taken, O_CLOEXEC | O_NONBLOCK) != 0 || pipe2(workers.stop, O_CLOEXEC) != 0) return EXIT_OURS;
  struct pollfd on[] = {
      {.fd = signals, .events = POLLIN}, {.fd = parent, .events = POLLIN}, {.fd = workers.taken[0], .events = POLLIN}};
  for (bool stopping = false; !stopping || workers.count > 0;) {
    while (!stopping && workers.idle < IDLE_AHEAD && workers.count < most_workers(serve)) {
      size_t before = workers.count;
      add_worker(serve, &workers, listener);
      if (workers.count == before) break;
    }
    if (poll(on, 3, -1) < 0 && errno != EINTR) return EXIT_OURS;
    bool told = on[1].revents != 0;
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == sizeof info) told |= info.ssi_signo != SIGCHLD;
    if (told && !stopping) {
      stopping = true;
      on[1].fd = -1;
      (void)unlink(serve->socket); /* who comes now is told at once that nobody serves */
      close(workers.stop[1]);
    }
    note_taken(&workers);
    reap(&workers);
  }
  return 0;
}

static int watch_signals(struct failure *failure) {
  sigset_t set;
  sigemptyset(&set);
  for (const int *number = (const int[]){SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGCHLD, 0}; *number != 0; number++)
    sigaddset(&set, *number);
  signal(SIGPIPE, SIG_IGN);
  if (sigprocmask(SIG_SETMASK, &set, NULL) != 0) return failed(failure, STEP, "cannot block signals");
  int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  return fd >= 0 ? fd : failed(failure, STEP, "cannot watch signals");
}

static bool is_pipe(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

/* One descriptor that can be read when the parent has died, or has let go of the pipe that it gave us as stdin:
 * so it can have us end and wait for it, which without privilege it cannot by a signal. */
static int watch_parent(const struct serve *serve, int *parent, struct failure *failure) {
  if (serve->parent_pid == 0) return 0;
  struct epoll_event ended = {.events = EPOLLIN}, let_go = {.events = 0}; /* a hang-up is always told */
  int process = sys_pidfd_open(getppid());
  errno = 0;
  if (process < 0 || (uint64_t)getppid() != serve->parent_pid)
    return failed(failure, STEP, "--parent-pid %llu is not our parent", (unsigned long long)serve->parent_pid);
  *parent = epoll_create1(EPOLL_CLOEXEC);
  if (*parent < 0 || epoll_ctl(*parent, EPOLL_CTL_ADD, process, &ended) != 0)
    return failed(failure, STEP, "cannot watch our parent");
  if (!is_pipe(STDIN_FILENO)) return 0;
  int leash = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (leash < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || close(null) != 0 ||
      epoll_ctl(*parent, EPOLL_CTL_ADD, leash, &let_go) != 0)
    return failed(failure, STEP, "cannot watch our standard input");
  return 0;
}

static int get_ready(struct serve *serve, int *listener, int *signals, int *parent, struct failure *failure) {
  errno = 0;
  if (geteuid() != 0) return failed(failure, STEP, "it has to be started by root");
  if (watch_parent(serve, parent, failure) != 0) return -1;
  static char delegated[PATH_MAX];
  int found = delegation_take(serve->cgroup, delegated, sizeof delegated, failure);
  if (found < 0) return -1;
  if (found > 0) serve->cgroup = delegated;
  if (check_state(serve, failure) != 0 || scratch_collect(serve->state, failure) < 0) return -1;
  if (store_collect(serve, failure) < 0) return -1;
  if (make_slots(serve, failure) != 0) return -1;
  make_pool(serve);
  *signals = watch_signals(failure);
  if (*signals < 0) return -1;
  *listener = listen_at(serve, failure);
  return *listener < 0 ? -1 : 0;
}

int serve_command(int argc, char **argv) {
  static struct serve serve;
  struct failure failure = {0};
  int listener = -1, signals = -1, parent = -1, status = EXIT_OURS;
  serve.command_line = argv[-2];
  serve.command_line_bytes = command_line_bytes(argc, argv);
  if (read_options(&serve, argc, argv) != 0) return EXIT_OURS;
  (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
  (void)setsid(); /* what a terminal sends its group is for the client to hear, who ends its runs in order */
  (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* what clients ask for has secrets in it */
  if (get_ready(&serve, &listener, &signals, &parent, &failure) == 0) {
    tell_ready(&serve, STDOUT_FILENO);
    status = serve_clients(&serve, listener, signals, parent);
  }
  if (serve.has_pool && pool_down(serve.net, false, &failure) < 0) status = EXIT_OURS;
  if (failure.step[0] == '\0') return status;
  char sentence[640];
  failure_sentence(&failure, sentence, sizeof sentence);
  complain("%s", sentence);
  return EXIT_OURS;
}
