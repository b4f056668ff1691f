/* `net up`, `net down` and `net check`: the pool of network namespaces that `run --network full` enters. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "network.h"

#define DEFAULT_SUBNET "10.213.0.0/16"

enum { LEAST_PREFIX = 8, MOST_PREFIX = 29, MOST_CONNECTIONS = 1000000 };

static int usage(void) {
  complain("usage: toroid-sandbox net up --state DIR --slots N [--subnet CIDR] [--open CIDR]... [--dns ADDRESS]... "
           "[--connections N] [--forward] | net down --state DIR | net check [--json] [--forward]");
  return EXIT_OURS;
}

static int fail(const struct failure *failure) {
  char sentence[640];
  failure_sentence(failure, sentence, sizeof sentence);
  complain("%s", sentence);
  return EXIT_OURS;
}

static int refuse_value(const char *name, const char *what, const char *value) {
  complain("%s wants %s, not `%.100s`", name, what, value);
  return -1;
}

int net_option(struct pool_plan *plan, const char *name, const char *value) {
  static const char NETWORK[] = "an IPv4 network such as 10.1.0.0/16, with nothing set behind the prefix";
  if (strcmp(name, "--state") == 0) {
    plan->state = value;
    return 0;
  }
  if (strcmp(name, "--slots") == 0)
    return read_number(value, 1, MAX_SLOTS, &plan->slots) ? 0 : refuse_value(name, "a number from 1 to 256", value);
  if (strcmp(name, "--subnet") == 0) {
    bool fits =
        read_cidr(value, &plan->subnet) && plan->subnet.prefix >= LEAST_PREFIX && plan->subnet.prefix <= MOST_PREFIX;
    return fits ? 0 : refuse_value(name, "an IPv4 network from /8 to /29", value);
  }
  if (strcmp(name, "--open") == 0) {
    if (plan->open_count == sizeof plan->open / sizeof plan->open[0])
      return refuse_value(name, "64 networks at most", value);
    return read_cidr(value, &plan->open[plan->open_count++]) ? 0 : refuse_value(name, NETWORK, value);
  }
  if (strcmp(name, "--dns") == 0) {
    if (plan->dns_count == sizeof plan->dns / sizeof plan->dns[0])
      return refuse_value(name, "8 addresses at most", value);
    return read_address(value, &plan->dns[plan->dns_count++]) ? 0 : refuse_value(name, "an IPv4 address", value);
  }
  if (strcmp(name, "--connections") == 0)
    return read_number(value, 1, MOST_CONNECTIONS, &plan->connections)
               ? 0
               : refuse_value(name, "a number from 1 to 1000000", value);
  return usage(), -1;
}

/* The resolvers of a file that a namespace of its own can reach: IPv4, and not the host's loopback. */
static void read_resolvers(struct pool_plan *plan, const char *path) {
  FILE *file = fopen(path, "re");
  char line[512], word[64];
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    uint32_t address;
    if (sscanf(line, " nameserver %63s", word) != 1 || !read_address(word, &address)) continue;
    if (address >> 24 != 127 && plan->dns_count < 3) plan->dns[plan->dns_count++] = address;
  }
  if (file != NULL) fclose(file);
}

static int find_resolvers(struct pool_plan *plan, struct failure *failure) {
  if (plan->dns_count > 0) return 0;
  read_resolvers(plan, "/etc/resolv.conf");
  if (plan->dns_count == 0)
    read_resolvers(plan, "/run/systemd/resolve/resolv.conf"); /* behind its stub on 127.0.0.53 */
  errno = 0;
  return plan->dns_count > 0
             ? 0
             : failed(failure, "net", "the host's resolver cannot be reached from a slot: name one by --dns");
}

void net_defaults(struct pool_plan *plan) {
  (void)read_cidr(DEFAULT_SUBNET, &plan->subnet);
}

int net_up(struct pool_plan *plan, struct pool *pool, struct failure *failure) {
  return find_resolvers(plan, failure) != 0 ? -1 : pool_up(plan, pool, failure);
}

static int up(struct pool_plan *plan) {
  struct failure failure = {0};
  static struct pool pool;
  if (plan->state == NULL || plan->slots == 0) return usage();
  if (net_up(plan, &pool, &failure) != 0) return fail(&failure);
  struct json json;
  char text[CIDR_TEXT];
  json_begin(&json);
  json_string(&json, "bridge", pool.bridge);
  cidr_text(&pool.block, text);
  json_string(&json, "subnet", text);
  json_number(&json, "slots", plan->slots);
  json_number(&json, "connections", plan->connections);
  json_send(&json, STDOUT_FILENO);
  return 0;
}

static int down(const struct pool_plan *plan) {
  struct failure failure = {0};
  if (plan->state == NULL) return usage();
  int removed = pool_down(plan->state, false, &failure);
  if (removed < 0) return fail(&failure);
  printf("{\"removed\":%d}\n", removed);
  return 0;
}

/* Makes a pool of one in namespaces that go with this process, so that nothing of the host is touched. */
static int try_pool(const void *context, struct failure *failure) {
  (void)context;
  struct pool_plan plan = {.state = "/run", .slots = 1, .dns = {0x01010101}, .dns_count = 1, .forward = true};
  static struct pool pool;
  const struct fs_option options[] = {{"source", "tmpfs"}, {"mode", "0700"}, {NULL, NULL}};
  net_defaults(&plan);
  if (unshare(CLONE_NEWNET | CLONE_NEWNS) != 0 || sys_make_private("/") != 0)
    return failed(failure, "net", "cannot make a network namespace");
  int fs = fs_make("tmpfs", options, 0, failure, "net");
  if (fs < 0) return -1;
  if (sys_move_mount(fs, "", AT_FDCWD, "/run", 4 /* MOVE_MOUNT_F_EMPTY_PATH */) != 0)
    return failed(failure, "net", "cannot mount over /run");
  return pool_up(&plan, &pool, failure);
}

size_t net_lacks(bool may_forward, struct failure wrong[NET_WRONGS]) {
  size_t count = 0;
  static struct pool_plan plan;
  char forward[8] = "";
  if (geteuid() != 0) {
    errno = 0;
    failed(&wrong[count++], "net", "it has to be started by root");
  } else if (attempt(try_pool, NULL, &wrong[count]) != 0) {
    count++;
  }
  if (!may_forward && read_text(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", forward, sizeof forward) > 0 &&
      forward[0] != '1') {
    errno = 0;
    failed(&wrong[count++], "net", "the host does not forward packets: net.ipv4.ip_forward is 0");
  }
  if (find_resolvers(&plan, &wrong[count]) != 0) count++;
  return count;
}

static int check(bool json, bool may_forward) {
  struct failure wrong[NET_WRONGS] = {0};
  size_t count = net_lacks(may_forward, wrong);
  struct json out;
  json_begin(&out);
  json_raw(&out, "ok", count == 0 ? "true" : "false");
  json_list(&out, "lacks");
  for (size_t i = 0; i < count; i++) {
    char sentence[640];
    failure_sentence(&wrong[i], sentence, sizeof sentence);
    json_string(&out, NULL, sentence);
    if (!json) printf("LACKS %s\n", sentence);
  }
  json_list_end(&out);
  if (json)
    json_send(&out, STDOUT_FILENO);
  else
    puts(count == 0 ? "A pool of network namespaces works here." : "No pool of network namespaces can be made here.");
  return count == 0 ? 0 : 1;
}

void print_net_options(void) {
  puts("  --state DIR                 a directory of the caller's: where the namespaces are pinned\n"
       "  --slots N                   how many, 256 at most\n"
       "  --subnet CIDR               of all pools of this host; a free part of it is taken (default " DEFAULT_SUBNET
       ")\n"
       "  --open CIDR                 a network that builds may reach although it is private; repeatable\n"
       "  --dns ADDRESS               a resolver, reached on port 53 wherever it is (default: the host's); repeatable\n"
       "  --connections N             that a slot may have open, and begin in a minute (default: of half the host's "
       "table, "
       "4096 at most)\n"
       "  --forward                   set net.ipv4.ip_forward when it is off, and leave it so");
}

int net_command(int argc, char **argv) {
  static struct pool_plan plan;
  bool json = false;
  if (argc == 0) return usage();
  net_defaults(&plan);
  bool is_up = strcmp(argv[0], "up") == 0, is_check = strcmp(argv[0], "check") == 0;
  if (!is_up && !is_check && strcmp(argv[0], "down") != 0) return usage();
  for (int i = 1; i < argc; i++) {
    if (is_check && strcmp(argv[i], "--json") == 0)
      json = true;
    else if ((is_up || is_check) && strcmp(argv[i], "--forward") == 0)
      plan.forward = true;
    else if (is_check || i + 1 == argc || (!is_up && strcmp(argv[i], "--state") != 0))
      return usage();
    else if (net_option(&plan, argv[i], argv[i + 1]) != 0)
      return EXIT_OURS;
    else
      i++;
  }
  if (is_check) return check(json, plan.forward);
  if (geteuid() != 0) {
    complain("net: toroid-sandbox has to be started by root");
    return EXIT_OURS;
  }
  return is_up ? up(&plan) : down(&plan);
}
