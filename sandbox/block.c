/* Where in the subnet a pool has its addresses: a part that the host does not use. */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>

#include "network.h"

#define STEP "net"

static bool is_routed(const struct cidr *block) {
  FILE *routes = fopen("/proc/net/route", "re");
  char line[256];
  bool taken = false;
  while (!taken && routes != NULL && fgets(line, sizeof line, routes) != NULL) {
    unsigned to, mask;
    if (sscanf(line, "%*s %x %*x %*x %*d %*d %*d %x", &to, &mask) != 2 || mask == 0) continue;
    struct cidr route = {ntohl(to), (unsigned)__builtin_popcount(mask)};
    taken = cidr_overlap(&route, block);
  }
  if (routes != NULL) fclose(routes);
  return taken;
}

bool is_addressed(const struct cidr *block) {
  struct ifaddrs *all = NULL;
  bool taken = false;
  if (getifaddrs(&all) != 0) return false;
  for (const struct ifaddrs *at = all; at != NULL && !taken; at = at->ifa_next) {
    if (at->ifa_addr == NULL || at->ifa_addr->sa_family != AF_INET) continue;
    struct sockaddr_in address;
    memcpy(&address, at->ifa_addr, sizeof address);
    struct cidr one = {ntohl(address.sin_addr.s_addr), 32};
    taken = cidr_overlap(&one, block);
  }
  freeifaddrs(all);
  return taken;
}

int choose_block(const struct pool_plan *plan, struct pool *pool, struct failure *failure) {
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
