/* Makes and removes a pool of network namespaces. Done by `ip` and `nft`, which run here and never for a build.
 *
 * All names come from the state directory's: so what a dead host left can be found and removed without a record, at
 * whatever point it died. Namespaces are pinned by files in the state directory, links are in one device group, rules
 * are in tables of their own. */
#include <linux/mount.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define STEP "net"
#define LOCK_FILE "/run/toroid-sandbox.net"
#define RESOLVER "resolv.conf"

/* ---- names ---- */

uint32_t pool_group(const struct pool *pool) {
  return 0x54000000u | pool->id;
}

void slot_link(const struct pool *pool, uint64_t slot, char into[16]) {
  snprintf(into, 16, "%s-%02x", pool->bridge, (unsigned)slot);
}

static int name_pool(struct pool *pool, const char *state, struct failure *failure) {
  if (realpath(state, pool->state) == NULL) return failed(failure, STEP, "cannot find the directory %s", state);
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (const char *c = pool->state; *c != '\0'; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
  pool->id = (hash ^ hash >> 24) & 0xffffff;
  snprintf(pool->bridge, sizeof pool->bridge, "toroid%06x", pool->id);
  snprintf(pool->table, sizeof pool->table, "toroid_%06x", pool->id);
  return 0;
}

/* ---- programs ---- */

/* In the child: `ip` or `nft` on the script in `input`, in the namespace `netns` unless that is -1. */
__attribute__((noreturn)) static void exec_tool(const char *const *argv, int input, int output, int netns) {
  if (netns >= 0 && setns(netns, CLONE_NEWNET) != 0) _exit(EXIT_OURS);
  static char path[] = DEFAULT_PATH, language[] = "LC_ALL=C";
  if (clearenv() != 0 || putenv(path) != 0 || putenv(language) != 0) _exit(EXIT_OURS);
  if (dup2(input, 0) != 0 || dup2(output, 1) != 1 || dup2(output, 2) != 2) _exit(EXIT_OURS);
  execvp(argv[0], (char *const *)argv);
  _exit(EXIT_NOT_FOUND);
}

static int memory_file(const char *text) {
  int fd = memfd_create("script", MFD_CLOEXEC);
  size_t length = strlen(text);
  if (fd >= 0 && (write(fd, text, length) != (ssize_t)length || lseek(fd, 0, SEEK_SET) != 0)) {
    close(fd);
    return -1;
  }
  return fd;
}

static int tool_failed(const char *const *argv, int code, int output, struct failure *failure) {
  char said[256] = "";
  ssize_t got = pread(output, said, sizeof said - 1, 0);
  said[got > 0 ? got : 0] = '\0';
  said[strcspn(said, "\n")] = '\0';
  errno = 0;
  if (code == EXIT_NOT_FOUND)
    return failed(failure, STEP, "`%s` is not installed: it is in the package %s", argv[0],
                  strcmp(argv[0], "ip") == 0 ? "iproute2" : "nftables");
  return failed(failure, STEP, "`%s` failed with %d: %s", argv[0], code, said);
}

/* Runs a program on `script` and waits. */
static int tool(const char *const *argv, const char *script, int netns, struct failure *failure) {
  int input = memory_file(script), output = memory_file("");
  pid_t pid = input < 0 || output < 0 ? -1 : fork();
  if (pid == 0) exec_tool(argv, input, output, netns);
  int status = -1, result = -1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (pid < 0)
    failed(failure, STEP, "cannot start `%s`", argv[0]);
  else if (status == 0)
    result = 0;
  else
    tool_failed(argv, WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNAL + WTERMSIG(status), output, failure);
  if (input >= 0) close(input);
  if (output >= 0) close(output);
  return result;
}

static int run_ip(const char *script, int netns, struct failure *failure) {
  static const char *const ARGV[] = {"ip", "-batch", "-", NULL};
  return tool(ARGV, script, netns, failure);
}

static int run_nft(const char *script, struct failure *failure) {
  static const char *const ARGV[] = {"nft", "-f", "-", NULL};
  return tool(ARGV, script, -1, failure);
}

/* ---- where in the subnet ---- */

static uint32_t mask_of(unsigned prefix) {
  return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

static bool overlap(const struct cidr *a, const struct cidr *b) {
  uint32_t mask = mask_of(a->prefix < b->prefix ? a->prefix : b->prefix);
  return (a->network & mask) == (b->network & mask);
}

static bool is_routed(const struct cidr *block) {
  FILE *routes = fopen("/proc/net/route", "re");
  char line[256];
  bool taken = false;
  while (!taken && routes != NULL && fgets(line, sizeof line, routes) != NULL) {
    unsigned to, mask;
    if (sscanf(line, "%*s %x %*x %*x %*d %*d %*d %x", &to, &mask) != 2 || mask == 0) continue;
    struct cidr route = {ntohl(to), (unsigned)__builtin_popcount(mask)};
    taken = overlap(&route, block);
  }
  if (routes != NULL) fclose(routes);
  return taken;
}

static bool is_addressed(const struct cidr *block) {
  struct ifaddrs *all = NULL;
  bool taken = false;
  if (getifaddrs(&all) != 0) return false;
  for (const struct ifaddrs *at = all; at != NULL && !taken; at = at->ifa_next) {
    if (at->ifa_addr == NULL || at->ifa_addr->sa_family != AF_INET) continue;
    struct sockaddr_in address;
    memcpy(&address, at->ifa_addr, sizeof address);
    struct cidr one = {ntohl(address.sin_addr.s_addr), 32};
    taken = overlap(&one, block);
  }
  freeifaddrs(all);
  return taken;
}

/* The first part of the subnet that is large enough and that the host has no address in and no route to. */
static int choose_block(const struct pool_plan *plan, struct pool *pool, struct failure *failure) {
  struct cidr block = {plan->subnet.network, 29};
  while (block.prefix > plan->subnet.prefix && (1ull << (32 - block.prefix)) < plan->slots + 3) block.prefix--;
  uint64_t size = 1ull << (32 - block.prefix),
           end = (uint64_t)plan->subnet.network + (1ull << (32 - plan->subnet.prefix));
  errno = 0;
  if (block.prefix < plan->subnet.prefix || size < plan->slots + 3)
    return failed(failure, STEP, "the subnet is too small for %llu slots", (unsigned long long)plan->slots);
  for (uint64_t at = plan->subnet.network; at + size <= end; at += size) {
    block.network = (uint32_t)at;
    if (is_routed(&block) || is_addressed(&block)) continue;
    pool->block = block;
    pool->gateway = block.network + 1;
    return 0;
  }
  return failed(failure, STEP, "the host uses all of the subnet; give another one");
}

/* ---- the namespaces ---- */

static const struct {
  const char *path, *value;
  bool must;
} KNOBS[] = {
    {"/proc/sys/net/ipv4/ping_group_range", "0 2147483647", true},
    {"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0", true},
    {"/proc/sys/net/ipv4/ip_forward", "0", true}, /* a new namespace has the host's */
    {"/proc/sys/net/ipv4/tcp_no_metrics_save", "1", false},
    {"/proc/sys/net/ipv6/conf/default/disable_ipv6", "1", false}, /* for the link that comes; lo keeps ::1 */
};

/* In a child: makes a namespace, sets its knobs and pins it to the file. */
static int make_namespace(int target, struct failure *failure) {
  if (unshare(CLONE_NEWNET) != 0) return failed(failure, STEP, "cannot make a network namespace");
  for (size_t i = 0; i < sizeof KNOBS / sizeof KNOBS[0]; i++) {
    if (!write_text(AT_FDCWD, KNOBS[i].path, KNOBS[i].value) && KNOBS[i].must)
      return failed(failure, STEP, "cannot write %s", KNOBS[i].path);
  }
  int own = sys_open_tree(AT_FDCWD, "/proc/self/ns/net", OPEN_TREE_CLONE);
  if (own >= 0 && sys_move_mount(own, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0) return 0;
  return failed(failure, STEP, "cannot pin a network namespace");
}

/* Answers a descriptor of it, which the programs inherit. */
static int pin_namespace(int state, const char *name, struct failure *failure) {
  int target = openat(state, name, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  struct failure *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (target < 0 || shared == MAP_FAILED) return failed(failure, STEP, "cannot make %s in the state directory", name);
  pid_t pid = fork();
  if (pid == 0) _exit(make_namespace(target, shared) == 0 ? 0 : 1);
  int status = -1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (status != 0 && shared->step[0] != '\0') *failure = *shared;
  (void)munmap(shared, sizeof *shared);
  close(target);
  if (status != 0) return failed(failure, STEP, "cannot make a network namespace");
  int fd = openat(state, name, O_RDONLY);
  return fd >= 0 ? fd : failed(failure, STEP, "cannot open %s in the state directory", name);
}

/* ---- up ---- */

struct script {
  char *text;
  size_t size;
  FILE *out;
};

static FILE *script_begin(struct script *script) {
  *script = (struct script){0};
  script->out = open_memstream(&script->text, &script->size);
  return script->out;
}

/* The text, or NULL when there was no memory for it. */
static const char *script_end(struct script *script) {
  bool whole = script->out != NULL && ferror(script->out) == 0;
  return fclose(script->out) == 0 && whole ? script->text : NULL;
}

static int no_ipv6(const char *link, struct failure *failure) {
  char path[96];
  snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", link);
  if (write_text(AT_FDCWD, path, "1") || errno == ENOENT) return 0;
  return failed(failure, STEP, "cannot write %s", path);
}

static int make_links(const struct pool_plan *plan, const struct pool *pool, const int *fds, struct failure *failure) {
  struct script script;
  if (script_begin(&script) == NULL) return failed(failure, STEP, "no memory");
  print_links(script.out, plan, pool, fds);
  const char *text = script_end(&script);
  int result = text == NULL ? failed(failure, STEP, "no memory") : run_ip(text, -1, failure);
  free(script.text);
  if (result != 0 || no_ipv6(pool->bridge, failure) != 0) return -1;
  for (uint64_t i = 0; i < plan->slots; i++) {
    char link[16];
    slot_link(pool, i, link);
    if (no_ipv6(link, failure) != 0) return -1;
  }
  return 0;
}

static int make_rules(const struct pool_plan *plan, const struct pool *pool, struct failure *failure) {
  struct script script;
  if (script_begin(&script) == NULL) return failed(failure, STEP, "no memory");
  print_rules(script.out, plan, pool);
  const char *text = script_end(&script);
  int result = text == NULL ? failed(failure, STEP, "no memory") : run_nft(text, failure);
  free(script.text);
  return result;
}

static int bring_up(const struct pool_plan *plan, const struct pool *pool, const int *fds, struct failure *failure) {
  struct script script;
  for (uint64_t i = 0; i <= plan->slots; i++) {
    bool host = i == plan->slots; /* last, so that all is ready when the first packet can pass */
    if (script_begin(&script) == NULL) return failed(failure, STEP, "no memory");
    if (host)
      print_links_up(script.out, plan, pool);
    else
      print_inside(script.out, pool, i);
    const char *text = script_end(&script);
    int result = text == NULL ? failed(failure, STEP, "no memory") : run_ip(text, host ? -1 : fds[i], failure);
    free(script.text);
    if (result != 0) return -1;
  }
  return 0;
}

/* What every run will do. */
static int try_cleaning(const struct pool *pool, struct failure *failure) {
  int conntrack = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  int result = conntrack < 0 || connect(conntrack, (struct sockaddr *)&kernel, sizeof kernel) != 0
                   ? -1
                   : slot_forget_connections(conntrack, slot_address(pool, 0));
  int error = errno;
  if (conntrack >= 0) close(conntrack);
  errno = error;
  return result == 0 ? 0 : failed(failure, STEP, "this kernel does not forget connections by their mark");
}

static int write_resolver(int state, const struct pool_plan *plan, struct failure *failure) {
  int fd = openat(state, RESOLVER, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
  FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
  if (out == NULL) {
    if (fd >= 0) close(fd);
    return failed(failure, STEP, "cannot write " RESOLVER " in the state directory");
  }
  for (size_t i = 0; i < plan->dns_count; i++) {
    fputs("nameserver ", out);
    print_address(out, plan->dns[i]);
    fputc('\n', out);
  }
  if (fclose(out) == 0) return 0;
  return failed(failure, STEP, "cannot write " RESOLVER " in the state directory");
}

static int make_all(const struct pool_plan *plan, const struct pool *pool, int state, int *fds,
                    struct failure *failure) {
  for (uint64_t i = 0; i < plan->slots; i++) {
    char name[16];
    snprintf(name, sizeof name, "%llu", (unsigned long long)i);
    fds[i] = pin_namespace(state, name, failure);
    if (fds[i] < 0) return -1;
  }
  if (write_resolver(state, plan, failure) != 0) return -1;
  if (make_links(plan, pool, fds, failure) != 0) return -1;
  if (make_rules(plan, pool, failure) != 0) return -1;
  if (bring_up(plan, pool, fds, failure) != 0) return -1;
  return try_cleaning(pool, failure);
}

static int check_forwarding(const struct pool_plan *plan, struct failure *failure) {
  static const char PATH[] = "/proc/sys/net/ipv4/ip_forward";
  char text[8] = "";
  if (read_text(AT_FDCWD, PATH, text, sizeof text) < 0) return failed(failure, STEP, "cannot read %s", PATH);
  if (text[0] == '1') return 0;
  if (plan->forward) return write_text(AT_FDCWD, PATH, "1") ? 0 : failed(failure, STEP, "cannot write %s", PATH);
  errno = 0;
  return failed(failure, STEP, "the host does not forward packets: set net.ipv4.ip_forward=1, or give --forward");
}

static int open_state(const char *path, struct failure *failure) {
  struct stat status;
  int state = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (state < 0 || fstat(state, &status) != 0) return failed(failure, STEP, "cannot open the directory %s", path);
  if (status.st_uid == geteuid() && (status.st_mode & 022) == 0) return state;
  close(state);
  errno = 0;
  return failed(failure, STEP, "%s must be ours, and others may not write to it", path);
}

/* Held while a pool is made or removed: no two take one part of the subnet. The programs inherit it, so that what a
 * killed helper started is over before anybody removes what it made. */
static int lock_host(struct failure *failure) {
  int fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (fd >= 0 && flock(fd, LOCK_EX) == 0) return fd;
  if (fd >= 0) close(fd);
  return failed(failure, STEP, "cannot lock " LOCK_FILE);
}

static int remove_all(const struct pool *pool, int state, struct failure *failure);

int pool_up(const struct pool_plan *plan, struct pool *pool, struct failure *failure) {
  int fds[MAX_SLOTS];
  if (name_pool(pool, plan->state, failure) != 0) return -1;
  int state = open_state(pool->state, failure);
  if (state < 0 || check_forwarding(plan, failure) != 0) return -1;
  int lock = lock_host(failure);
  if (lock < 0) return -1;
  errno = 0;
  if (if_nametoindex(pool->bridge) != 0 || faccessat(state, "0", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    errno = 0;
    return failed(failure, STEP, "a pool of %s is up, or was left: net down first", pool->state);
  }
  if (choose_block(plan, pool, failure) != 0) return -1;
  if (make_all(plan, pool, state, fds, failure) == 0) return 0;
  struct failure ignored = {0};
  (void)remove_all(pool, state, &ignored);
  return -1;
}

/* ---- down ---- */

/* Each in a table of its own, so that one that is missing does not keep the other. */
static int remove_tables(const struct pool *pool, struct failure *failure) {
  static const char *const FAMILIES[] = {"inet", "netdev"};
  int removed = 0;
  for (size_t i = 0; i < 2; i++) {
    char list[96];
    struct failure missing = {0};
    snprintf(list, sizeof list, "list table %s %s\n", FAMILIES[i], pool->table);
    if (run_nft(list, &missing) != 0) continue;
    snprintf(list, sizeof list, "delete table %s %s\n", FAMILIES[i], pool->table);
    if (run_nft(list, failure) != 0) return -1;
    removed++;
  }
  return removed;
}

/* The whole device group at once: one by one, each link would cost the kernel 20 ms. */
static int remove_links(const struct pool *pool, struct failure *failure) {
  char script[64];
  struct failure none = {0};
  bool there = if_nametoindex(pool->bridge) != 0;
  snprintf(script, sizeof script, "link del group %u\n", pool_group(pool));
  int result = run_ip(script, -1, &none);
  if (!there || (result == 0 && if_nametoindex(pool->bridge) == 0)) return there;
  if (none.step[0] != '\0') *failure = none;
  return failed(failure, STEP, "the link %s cannot be removed", pool->bridge);
}

static int remove_namespaces(const struct pool *pool, int state, struct failure *failure) {
  int removed = 0;
  for (uint64_t i = 0; i < MAX_SLOTS; i++) {
    char name[16], path[PATH_MAX + 24];
    snprintf(name, sizeof name, "%llu", (unsigned long long)i);
    if (faccessat(state, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0) continue;
    snprintf(path, sizeof path, "%s/%s", pool->state, name);
    while (sys_umount(path, 2 | 8 /* MNT_DETACH | UMOUNT_NOFOLLOW */) == 0) continue;
    if (unlinkat(state, name, 0) != 0) return failed(failure, STEP, "cannot remove %s", path);
    removed++;
  }
  if (unlinkat(state, RESOLVER, 0) != 0 && errno != ENOENT)
    return failed(failure, STEP, "cannot remove " RESOLVER " in %s", pool->state);
  return removed;
}

/* Links first: with them gone, nothing passes, rules or not. */
static int remove_all(const struct pool *pool, int state, struct failure *failure) {
  int links = remove_links(pool, failure), tables = remove_tables(pool, failure);
  int namespaces = remove_namespaces(pool, state, failure);
  return links < 0 || tables < 0 || namespaces < 0 ? -1 : links + tables + namespaces;
}

static bool is_used(int state) {
  for (uint64_t i = 0; i < MAX_SLOTS; i++) {
    char name[16];
    snprintf(name, sizeof name, "%llu", (unsigned long long)i);
    int fd = openat(state, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) continue;
    bool used = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    if (used) return true;
  }
  return false;
}

int pool_down(const char *path, bool unless_used, struct failure *failure) {
  struct pool pool = {0};
  if (name_pool(&pool, path, failure) != 0) return -1;
  int state = open_state(pool.state, failure);
  int lock = state < 0 ? -1 : lock_host(failure);
  if (lock < 0) return -1;
  int removed = unless_used && is_used(state) ? 0 : remove_all(&pool, state, failure);
  close(lock);
  close(state);
  return removed;
}
