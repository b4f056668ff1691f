/* A slot of the pool: a network namespace that was made once (pool.c) and is entered by one run after another. It is
 * owned by the host's user namespace, so nothing inside can change it. What a run can leave behind is in it
 * (remains.c), in the host's table of connections, and in the sets of the pool's rules: its allow list and its
 * counters. All is cleared before a run and after it. A slot that cannot be cleared takes no run. */
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "network.h"

#define STEP "network"
/* A number at each link that the kernel keeps and does nothing with: not 0 from before a run until all is cleared. */
#define IN_USE "/proc/sys/net/ipv4/conf/lo/tag"

enum { DEATHS_PATIENCE_MS = 5000, DEATHS_LOOK_MS = 5 };

/* ---- what a run leaves ---- */

/* The pool's rules mark every connection of a slot with the slot's address; the kernel removes all that bear it. */
static int forget_connections(int netfilter, uint32_t address) {
  struct {
    struct nlmsghdr header;
    struct nfgenmsg family;
    struct nlattr mark_header;
    uint32_t mark;
    struct nlattr mask_header;
    uint32_t mask;
  } request = {
      .header = {.nlmsg_len = sizeof request,
                 .nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
      .family = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0},
      .mark_header = {.nla_len = sizeof(struct nlattr) + sizeof(uint32_t), .nla_type = CTA_MARK},
      .mark = htonl(address),
      .mask_header = {.nla_len = sizeof(struct nlattr) + sizeof(uint32_t), .nla_type = CTA_MARK_MASK},
      .mask = UINT32_MAX,
  };
  return netlink_ask(netfilter, &request, sizeof request);
}

/* The name of a set of this slot's own: by its address, which the namespace itself tells. */
void slot_set(char into[SET_NAME], const char *what, uint32_t address) {
  struct cidr one = {address, 32};
  char text[CIDR_TEXT];
  cidr_text(&one, text);
  snprintf(into, SET_NAME, "%s_%s", what, text);
}

/* Counters and allow list. Who is not known to be in `limited` is put in first, because only then can he be taken out.
 * What is empty already costs nothing; what is removed has the kernel wait some milliseconds when our socket closes. */
static int reset_rules(const struct slot *slot) {
  static const char *const OF_SLOT[] = {"rate", "open", "hosts", "ports"};
  struct nft nft;
  uint32_t key = htonl(slot->address);
  nft_begin(&nft, slot->table);
  if (slot->may_be_limited) {
    nft_add_one(&nft, SET_LIMITED, &key, sizeof key);
    nft_remove_one(&nft, SET_LIMITED, &key, sizeof key);
  }
  for (size_t i = 0; i < sizeof OF_SLOT / sizeof OF_SLOT[0]; i++) {
    char set[SET_NAME];
    slot_set(set, OF_SLOT[i], slot->address);
    nft_empty(&nft, set);
  }
  return nft_commit(&nft, slot->netfilter);
}

/* Connections before rules: while there are any, they are held to the rules of their run. A run without the rules would
 * have no walls around it, so that they are there is seen here as well, before each. */
static int clean_outside(const struct slot *slot, struct failure *failure) {
  if (forget_connections(slot->netfilter, slot->address) != 0)
    return failed(failure, STEP, "the connections of an earlier run cannot be removed");
  if (reset_rules(slot) == 0) return 0;
  if (errno != ENOENT) return failed(failure, STEP, "the rules of an earlier run cannot be removed");
  errno = 0;
  return failed(failure, STEP,
                "the rules of the pool are gone, perhaps with all rules of the host: take it down and up again");
}

/* One that was left clean has had no process in it since; at most a packet was still on its way. */
static int clean(const struct slot *slot, bool was_left_clean, struct failure *failure) {
  if (sockets_clear(failure) != 0 || (!was_left_clean && memory_clear(failure) != 0)) return -1;
  return slot->netfilter < 0 ? 0 : clean_outside(slot, failure);
}

int slot_try_cleaning(const struct pool *pool, uint32_t address, struct failure *failure) {
  struct slot slot = {.netfilter = netlink_open(NETLINK_NETFILTER), .address = address, .may_be_limited = true};
  if (slot.netfilter < 0) return failed(failure, STEP, "this kernel has no netfilter");
  memcpy(slot.table, pool->table, sizeof slot.table);
  int result = clean_outside(&slot, failure);
  close(slot.netfilter);
  return result;
}

/* ---- who is in it ---- */

static bool is_process_in(const char *pid, const char *netns) {
  char path[300], its[64];
  snprintf(path, sizeof path, "/proc/%s/ns/net", pid);
  ssize_t length = readlink(path, its, sizeof its - 1);
  if (length < 0) return false; /* dead */
  its[length] = '\0';
  return strcmp(its, netns) == 0 && (pid_t)strtol(pid, NULL, 10) != getpid();
}

static bool is_anybody_in(const char *netns) {
  DIR *proc = opendir("/proc");
  bool found = proc == NULL;
  for (const struct dirent *entry; !found && (entry = readdir(proc)) != NULL;) {
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') found = is_process_in(entry->d_name, netns);
  }
  if (proc != NULL) closedir(proc);
  return found;
}

/* A helper that was killed could not see its run die. Its processes are dying by themselves, and one that is not dead
 * could still open what we have just cleared. */
static int await_deaths(struct failure *failure) {
  char netns[64];
  ssize_t length = readlink("/proc/thread-self/ns/net", netns, sizeof netns - 1);
  if (length < 0) return failed(failure, STEP, "cannot tell our network namespace");
  netns[length] = '\0';
  uint64_t until = now_us() + DEATHS_PATIENCE_MS * 1000ull;
  const struct timespec pause = {.tv_nsec = DEATHS_LOOK_MS * 1000000l};
  while (is_anybody_in(netns)) {
    errno = 0;
    if (now_us() >= until) return failed(failure, STEP, "processes of an earlier run are left in the slot");
    (void)nanosleep(&pause, NULL);
  }
  return 0;
}

/* ---- in and out ---- */

/* Not the host's own, and owned by the host: in one that a user namespace owns, that namespace's root is master. */
static bool is_pooled(int netns) {
  struct stat ours, its, owner;
  int userns = ioctl(netns, NS_GET_USERNS);
  bool pooled = userns >= 0 && ioctl(netns, NS_GET_NSTYPE) == CLONE_NEWNET && fstat(userns, &owner) == 0 &&
                stat("/proc/self/ns/user", &ours) == 0 && owner.st_ino == ours.st_ino &&
                stat("/proc/self/ns/net", &ours) == 0 && fstat(netns, &its) == 0 && its.st_ino != ours.st_ino;
  if (userns >= 0) close(userns);
  return pooled;
}

static int own_address(uint32_t *address) {
  struct ifreq request = {.ifr_name = SLOT_LINK};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int result = fd < 0 ? -1 : ioctl(fd, SIOCGIFADDR, &request);
  if (fd >= 0) close(fd);
  struct sockaddr_in found;
  memcpy(&found, &request.ifr_addr, sizeof found);
  *address = ntohl(found.sin_addr.s_addr);
  return result;
}

static int take(struct slot *slot, const char *path, struct failure *failure) {
  slot->netns = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (slot->netns < 0) return failed(failure, STEP, "cannot open %s", path);
  errno = 0;
  if (!is_pooled(slot->netns)) return failed(failure, STEP, "%s is no network namespace of a pool", path);
  if (flock(slot->netns, LOCK_EX | LOCK_NB) == 0) return 0;
  if (errno != EWOULDBLOCK) return failed(failure, STEP, "cannot lock %s", path);
  errno = 0;
  return failed(failure, STEP, "%s is in use by another run", path);
}

static int find_pool(const char *path, struct pool *pool, struct failure *failure) {
  char *copy = strdup(path);
  if (copy == NULL) return failed(failure, STEP, "no memory");
  int result = name_pool(pool, dirname(copy), failure);
  free(copy);
  return result;
}

/* In our own namespace still: the rules and the connections are the host's, and a socket stays where it was made. */
static int prepare_outside(struct slot *slot, const struct plan *plan, struct failure *failure) {
  struct pool pool = {0};
  if (find_pool(plan->netns, &pool, failure) != 0) return -1;
  memcpy(slot->table, pool.table, sizeof slot->table);
  slot->netfilter = netlink_open(NETLINK_NETFILTER);
  if (slot->netfilter < 0) return failed(failure, STEP, "this kernel has no netfilter");
  return plan->allow_count == 0 ? 0 : allow_check(plan, &pool, failure);
}

static int limit(const struct slot *slot, const struct plan *plan, struct failure *failure) {
  struct nft nft;
  nft_begin(&nft, slot->table);
  allow_add(&nft, plan, slot->address);
  if (nft_commit(&nft, slot->netfilter) == 0) return 0;
  return failed(failure, STEP, "the allow list cannot be put up");
}

/* In its namespace. A helper that was killed left whatever was there. */
static int make_ours(struct slot *slot, struct failure *failure) {
  char in_use[16];
  if (read_text(AT_FDCWD, IN_USE, in_use, sizeof in_use) <= 0) return failed(failure, STEP, "cannot read %s", IN_USE);
  bool was_left_clean = in_use[0] == '0';
  slot->may_be_limited = !was_left_clean;
  if (!was_left_clean && await_deaths(failure) != 0) return -1;
  if (clean(slot, was_left_clean, failure) != 0) return -1;
  if (!write_text(AT_FDCWD, IN_USE, "1")) return failed(failure, STEP, "cannot write %s", IN_USE);
  slot->is_ours = true;
  return 0;
}

int slot_enter(struct slot *slot, const struct plan *plan, struct failure *failure) {
  if (take(slot, plan->netns, failure) != 0 || prepare_outside(slot, plan, failure) != 0) return -1;
  if (setns(slot->netns, CLONE_NEWNET) != 0) return failed(failure, STEP, "cannot enter %s", plan->netns);
  if (own_address(&slot->address) != 0) return failed(failure, STEP, "%s has no address", plan->netns);
  if (make_ours(slot, failure) != 0) return -1;
  slot->may_be_limited = plan->allow_count > 0;
  return slot->may_be_limited ? limit(slot, plan, failure) : 0;
}

int slot_enter_alone(struct slot *slot, int netns, struct failure *failure) {
  slot->netns = fcntl(netns, F_DUPFD_CLOEXEC, 0);
  if (slot->netns >= 0 && setns(slot->netns, CLONE_NEWNET) == 0) return make_ours(slot, failure);
  return failed(failure, STEP, "cannot enter the network of the slot");
}

void slot_leave(struct slot *slot, bool all_dead) {
  struct failure failure = {0};
  if (slot->netns < 0) return;
  bool clear = slot->is_ours && all_dead && clean(slot, false, &failure) == 0;
  if (clear && !write_text(AT_FDCWD, IN_USE, "0")) failed(&failure, STEP, "cannot write %s", IN_USE);
  if (failure.step[0] != '\0') {
    char sentence[640];
    failure_sentence(&failure, sentence, sizeof sentence);
    complain("%s", sentence);
  }
  close(slot->netns);
  slot->netns = -1; /* the socket is left to our end: the kernel may have it wait until what was removed is free */
}
