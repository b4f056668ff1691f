/* What the files of the network have in common with each other and with nobody else. */
#ifndef TOROID_NETWORK_H
#define TOROID_NETWORK_H

#include "toroid-sandbox.h"

#define SLOT_LINK "eth0"

/* ---- addresses: cidr.c ---- */

enum { CIDR_TEXT = 20 };

bool read_address(const char *text, uint32_t *into);
/* ADDRESS or ADDRESS/PREFIX. */
bool read_cidr(const char *text, struct cidr *into);
void print_address(FILE *out, uint32_t address);
void print_cidr(FILE *out, const struct cidr *cidr);
/* An address alone when it is one. */
void cidr_text(const struct cidr *cidr, char into[CIDR_TEXT]);
bool cidr_overlap(const struct cidr *a, const struct cidr *b);
bool cidr_contains(const struct cidr *outer, const struct cidr *inner);
uint32_t cidr_last(const struct cidr *cidr);

/* ---- a pool and its slots: pool.c ---- */

int name_pool(struct pool *pool, const char *state, struct failure *failure);
uint32_t pool_group(const struct pool *pool);
void slot_link(const struct pool *pool, uint64_t slot, char into[16]);
uint32_t slot_address(const struct pool *pool, uint64_t slot);

/* Where in the subnet: block.c. */
int choose_block(const struct pool_plan *plan, struct pool *pool, struct failure *failure);
/* The host we are on has an address there. */
bool is_addressed(const struct cidr *block);

/* The namespaces: namespaces.c. The descriptor is one that programs inherit. */
int pin_namespace(int state, const char *name, struct failure *failure);
/* Removes all that are there. Answers how many, or -1. */
int unpin_namespaces(const struct pool *pool, int state, struct failure *failure);
bool is_any_namespace_locked(int state);

/* What is to be done, as text for `ip` and `nft`: rules.c, links.c. */
void print_rules(FILE *out, const struct pool_plan *plan, const struct pool *pool);
void print_links(FILE *out, const struct pool_plan *plan, const struct pool *pool, const int *fds);
void print_links_up(FILE *out, const struct pool_plan *plan, const struct pool *pool);
void print_inside(FILE *out, const struct pool *pool, uint64_t slot);

/* `ip` and `nft` on such a text: tools.c. `netns` -1: where we are. */
int run_ip(const char *text, int netns, struct failure *failure);
int run_nft(const char *text, struct failure *failure);
struct script {
  char *text;
  size_t size;
  FILE *out; /* what is printed here is run by script_ip or script_nft, which also free it */
};
int script_begin(struct script *script, struct failure *failure);
int script_ip(struct script *script, int netns, struct failure *failure);
int script_nft(struct script *script, struct failure *failure);

/* ---- what is closed, and what a pool opens: policy.c ---- */

enum { CLOSED_COUNT = 11 };
extern const struct cidr LINK_LOCAL, CLOSED[CLOSED_COUNT];

struct policy {
  struct cidr slots; /* of all slots of the pool */
  struct cidr open[MAX_OPEN];
  size_t open_count;
};

bool is_link_local(const struct cidr *cidr);
int policy_write(int state, const struct pool_plan *plan, const struct pool *pool, struct failure *failure);
int policy_remove(int state, struct failure *failure);
int policy_read(const struct pool *pool, struct policy *policy, struct failure *failure);
/* Which closed network all of `wanted` lies in, or NULL. */
const struct cidr *policy_closes(const struct policy *policy, const struct cidr *wanted);
bool policy_opens_host(const struct policy *policy, uint32_t address);

/* ---- a run in its slot: slot.c, remains.c, allow.c, nft.c, netlink.c ---- */

enum { SET_NAME = 32 };
#define SET_LIMITED "limited"

void slot_set(char into[SET_NAME], const char *what, uint32_t address);
/* What every run does on the host, on a slot that nobody is in. */
int slot_try_cleaning(const struct pool *pool, uint32_t address, struct failure *failure);

/* What a run left in the namespace that we are in: its sockets, and what the kernel learned for it. */
int sockets_clear(struct failure *failure);
int memory_clear(struct failure *failure);

/* A message that changes sets of `table`. */
struct nft {
  const char *table;
  size_t used;
  bool full;
  struct nlmsghdr *last;
  struct nlattr *list;
  _Alignas(8) char bytes[1 << 16];
};
void nft_begin(struct nft *nft, const char *table);
/* Elements, between open and close. `to` NULL: no interval. */
void nft_open(struct nft *nft, const char *set);
void nft_add(struct nft *nft, const void *from, const void *to, size_t length);
void nft_close(struct nft *nft);
/* In the set afterwards, or not; that one is there already is no failure, that one is not there is. */
void nft_add_one(struct nft *nft, const char *set, const void *key, size_t length);
void nft_remove_one(struct nft *nft, const char *set, const void *key, size_t length);
void nft_empty(struct nft *nft, const char *set);
int nft_commit(struct nft *nft, int netfilter);

/* Whether what the plan lists is closed to all builds, or this host's. */
int allow_check(const struct plan *plan, const struct pool *pool, struct failure *failure);
void allow_add(struct nft *nft, const struct plan *plan, uint32_t slot);

struct nlmsghdr;
int netlink_open(int protocol);
/* Sends a request, or several of which one asks for an answer, and says how the first answer was. */
int netlink_ask(int fd, const void *messages, size_t length);
/* Calls `each` for what is listed, until it answers other than 0; then that is the answer. */
int netlink_list(int fd, const void *request, size_t length, int (*each)(const struct nlmsghdr *found, void *with),
                 void *with);

/* ---- what a host lacks for a pool: net.c ---- */

enum { NET_WRONGS = 3 };
/* Answers how many there are. */
size_t net_lacks(bool may_forward, struct failure wrong[NET_WRONGS]);

#endif
