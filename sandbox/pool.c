/* Makes and removes a pool of network namespaces. Done by `ip` and `nft`, which run here and never for a build.
 *
 * All names come from the state directory's: so what a dead host left can be found and removed without a record, at
 * whatever point it died. Namespaces are pinned by files in the state directory, links are in one device group, rules
 * are in tables of their own. */
#include <linux/netlink.h>

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "network.h"

#define STEP "net"
#define LOCK_FILE "/run/toroid-sandbox.net"
#define RESOLVER "resolv.conf"

enum { USUAL_TABLE = 65536, SHARES_OF_SLOT = 4, LEAST_CONNECTIONS = 64, MOST_CONNECTIONS = 4096 };

/* ---- names ---- */

uint32_t pool_group(const struct pool *pool) {
  return 0x54000000u | pool->id;
}

void slot_link(const struct pool *pool, uint64_t slot, char into[16]) {
  snprintf(into, 16, "%s-%02x", pool->bridge, (unsigned)slot);
}

uint32_t slot_address(const struct pool *pool, uint64_t slot) {
  return pool->gateway + 1 + (uint32_t)slot;
}

int name_pool(struct pool *pool, const char *state, struct failure *failure) {
  if (realpath(state, pool->state) == NULL) return failed(failure, STEP, "cannot find the directory %s", state);
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (const char *c = pool->state; *c != '\0'; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
  pool->id = (hash ^ hash >> 24) & 0xffffff;
  snprintf(pool->bridge, sizeof pool->bridge, "toroid%06x", pool->id);
  snprintf(pool->table, sizeof pool->table, "toroid_%06x", pool->id);
  return 0;
}

/* ---- up ---- */

static int no_ipv6(const char *link, struct failure *failure) {
  char path[96];
  snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", link);
  if (write_text(AT_FDCWD, path, "1") || errno == ENOENT) return 0;
  return failed(failure, STEP, "cannot write %s", path);
}

static int make_links(const struct pool_plan *plan, const struct pool *pool, const int *fds, struct failure *failure) {
  struct script script;
  if (script_begin(&script, failure) != 0) return -1;
  print_links(script.out, plan, pool, fds);
  if (script_ip(&script, -1, failure) != 0 || no_ipv6(pool->bridge, failure) != 0) return -1;
  for (uint64_t i = 0; i < plan->slots; i++) {
    char link[16];
    slot_link(pool, i, link);
    if (no_ipv6(link, failure) != 0) return -1;
  }
  return 0;
}

static int make_rules(const struct pool_plan *plan, const struct pool *pool, struct failure *failure) {
  struct script script;
  if (script_begin(&script, failure) != 0) return -1;
  print_rules(script.out, plan, pool);
  return script_nft(&script, failure);
}

/* The host's end last, so that all is ready when the first packet can pass. */
static int bring_up(const struct pool_plan *plan, const struct pool *pool, const int *fds, struct failure *failure) {
  struct script script;
  for (uint64_t i = 0; i < plan->slots; i++) {
    if (script_begin(&script, failure) != 0) return -1;
    print_inside(script.out, pool, i);
    if (script_ip(&script, fds[i], failure) != 0) return -1;
  }
  if (script_begin(&script, failure) != 0) return -1;
  print_links_up(script.out, plan, pool);
  return script_ip(&script, -1, failure);
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
  if (write_resolver(state, plan, failure) != 0 || policy_write(state, plan, pool, failure) != 0) return -1;
  if (make_links(plan, pool, fds, failure) != 0) return -1;
  if (make_rules(plan, pool, failure) != 0) return -1;
  if (bring_up(plan, pool, fds, failure) != 0) return -1;
  return slot_try_cleaning(pool, slot_address(pool, 0), failure); /* what every run will do */
}

static int remove_all(const struct pool *pool, int state, struct failure *failure);

/* With the lock held; what was made is taken away again when not all could be. */
static int make_or_remove(const struct pool_plan *plan, struct pool *pool, int state, struct failure *failure) {
  int fds[MAX_SLOTS];
  errno = 0;
  if (if_nametoindex(pool->bridge) != 0 || faccessat(state, "0", F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
    errno = 0;
    return failed(failure, STEP, "a pool of %s is up, or was left: net down first", pool->state);
  }
  if (choose_block(plan, pool, failure) != 0) return -1;
  for (size_t i = 0; i < MAX_SLOTS; i++) fds[i] = -1;
  int result = make_all(plan, pool, state, fds, failure);
  for (size_t i = 0; i < MAX_SLOTS && fds[i] >= 0; i++) close(fds[i]);
  struct failure ignored = {0};
  if (result != 0) (void)remove_all(pool, state, &ignored);
  return result;
}

/* All slots together take no more than half of the host's table: what is open, and what is over and still remembered
 * for two minutes, which is as much as may begin at once and in two minutes. */
static void choose_connections(struct pool_plan *plan) {
  char text[24] = "";
  uint64_t table = USUAL_TABLE;
  if (read_text(AT_FDCWD, "/proc/sys/net/netfilter/nf_conntrack_max", text, sizeof text) > 0) {
    text[strcspn(text, "\n")] = '\0';
    (void)read_number(text, 1, UINT32_MAX, &table);
  }
  uint64_t each = table / 2 / plan->slots / SHARES_OF_SLOT;
  plan->connections = each > MOST_CONNECTIONS ? MOST_CONNECTIONS : each < LEAST_CONNECTIONS ? LEAST_CONNECTIONS : each;
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

int pool_up(struct pool_plan *plan, struct pool *pool, struct failure *failure) {
  if (name_pool(pool, plan->state, failure) != 0) return -1;
  int state = open_state(pool->state, failure);
  if (plan->connections == 0) choose_connections(plan);
  int lock = state < 0 || check_forwarding(plan, failure) != 0 ? -1 : lock_host(failure);
  int result = lock < 0 ? -1 : make_or_remove(plan, pool, state, failure);
  if (lock >= 0) close(lock);
  if (state >= 0) close(state);
  return result;
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

static int remove_resolver(const struct pool *pool, int state, struct failure *failure) {
  if (unlinkat(state, RESOLVER, 0) == 0 || errno == ENOENT) return 0;
  return failed(failure, STEP, "cannot remove " RESOLVER " in %s", pool->state);
}

/* Links first: with them gone, nothing passes, rules or not. */
static int remove_all(const struct pool *pool, int state, struct failure *failure) {
  int links = remove_links(pool, failure), tables = remove_tables(pool, failure);
  int namespaces = unpin_namespaces(pool, state, failure);
  int files = remove_resolver(pool, state, failure) != 0 || policy_remove(state, failure) != 0 ? -1 : 0;
  return links < 0 || tables < 0 || namespaces < 0 || files < 0 ? -1 : links + tables + namespaces;
}

int pool_down(const char *path, bool unless_used, struct failure *failure) {
  struct pool pool = {0};
  if (name_pool(&pool, path, failure) != 0) return -1;
  int state = open_state(pool.state, failure);
  int lock = state < 0 ? -1 : lock_host(failure), removed = -1;
  if (lock >= 0) removed = unless_used && is_any_namespace_locked(state) ? 0 : remove_all(&pool, state, failure);
  if (lock >= 0) close(lock);
  if (state >= 0) close(state);
  return removed;
}
