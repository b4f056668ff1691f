/* The links of a pool and their addresses, as text for `ip`. */
#include <stdio.h>

#include "network.h"

/* What `ip` is to do in the host's namespace: first the links, all down; up only once the rules are there. Slot i's
 * namespace is descriptor `fds[i]` of the process. */
void print_links(FILE *out, const struct pool_plan *plan, const struct pool *pool, const int *fds) {
  char link[16];
  fprintf(out, "link add %s group %u type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n", pool->bridge,
          pool_group(pool));
  for (uint64_t i = 0; i < plan->slots; i++) {
    slot_link(pool, i, link);
    fprintf(out, "link add %s group %u type veth peer name " SLOT_LINK " netns /proc/self/fd/%d\n", link,
            pool_group(pool), fds[i]);
    fprintf(out, "link set %s master %s\nlink set %s type bridge_slave isolated on\n", link, pool->bridge, link);
  }
}

void print_links_up(FILE *out, const struct pool_plan *plan, const struct pool *pool) {
  char link[16];
  fputs("addr add ", out);
  print_address(out, pool->gateway);
  fprintf(out, "/%u dev %s\nlink set %s up\n", pool->block.prefix, pool->bridge, pool->bridge);
  for (uint64_t i = 0; i < plan->slots; i++) {
    slot_link(pool, i, link);
    fprintf(out, "link set %s up\n", link);
  }
}

/* Inside a slot. An address of its own and nothing beside it: what is no route of ours goes to the bridge. */
void print_inside(FILE *out, const struct pool *pool, uint64_t slot) {
  fputs("link set lo up\naddr add ", out);
  print_address(out, slot_address(pool, slot));
  fputs("/32 dev " SLOT_LINK "\nlink set " SLOT_LINK " up\nroute add default via ", out);
  print_address(out, pool->gateway);
  fputs(" dev " SLOT_LINK " onlink\n", out);
}
