/* What a slot may reach, as text for nft. Two tables of the pool's own, removed as a whole.
 *
 * netdev, at each slot's end: only the slot's address, as IPv4 and ARP, and nothing else at all.
 * inet, in the host's stack: from a slot to the host, from a slot onwards, and back. In the order that is the
 * argument: what was let out may be answered; other slots never; the resolvers on port 53; then link-local, where
 * clouds keep their metadata, which is opened only by naming a part of it; then what was opened; then the private
 * ranges, closed; the rest is public. */
#include <stdio.h>

#include "toroid-sandbox.h"

#define LINK_LOCAL 0xa9fe0000u /* 169.254.0.0/16 */

/* Addresses that are not of the public internet. */
static const char CLOSED[] = "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, "
                             "192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/4, 240.0.0.0/4";

/* An answer at once, so that a build fails and does not hang. The kernel limits ICMP to one a second, resets not. */
static const char REFUSE[] = "  chain refuse {\n    meta l4proto tcp reject with tcp reset\n"
                             "    reject with icmp type admin-prohibited\n  }\n";

static const char TO[] = "    ct state invalid drop\n"
                         "    ct state established,related accept\n"
                         "    ct mark set ip saddr map @marks\n"
                         "    ip daddr @resolvers meta l4proto { tcp, udp } th dport 53 accept\n";

void print_address(FILE *out, uint32_t address) {
  fprintf(out, "%u.%u.%u.%u", address >> 24, (address >> 16) & 255, (address >> 8) & 255, address & 255);
}

uint32_t slot_address(const struct pool *pool, uint64_t slot) {
  return pool->gateway + 1 + (uint32_t)slot;
}

static bool is_link_local(const struct cidr *cidr) {
  return cidr->prefix >= 16 && (cidr->network & 0xffff0000u) == LINK_LOCAL;
}

static bool is_one_host(const struct cidr *cidr) {
  return cidr->prefix == 32;
}

static bool is_any(const struct cidr *cidr) {
  (void)cidr;
  return true;
}

/* An empty list of elements is a mistake in nft's grammar. */
static void print_set(FILE *out, const char *name, const struct pool_plan *plan, bool (*has)(const struct cidr *)) {
  fprintf(out, "  set %s {\n    type ipv4_addr; flags interval; auto-merge;\n", name);
  size_t count = 0;
  for (size_t i = 0; i < plan->open_count; i++) {
    if (!has(&plan->open[i])) continue;
    fputs(count++ == 0 ? "    elements = { " : ", ", out);
    print_address(out, plan->open[i].network);
    fprintf(out, "/%u", plan->open[i].prefix);
  }
  fputs(count > 0 ? " }\n  }\n" : "  }\n", out);
}

static void print_sets(FILE *out, const struct pool_plan *plan, const struct pool *pool) {
  print_set(out, "opened", plan, is_any);
  print_set(out, "opened_link_local", plan, is_link_local);
  print_set(out, "opened_hosts", plan, is_one_host);
  fprintf(out, "  set closed { type ipv4_addr; flags interval; auto-merge; elements = { %s } }\n", CLOSED);
  fputs("  set resolvers {\n    type ipv4_addr;\n", out);
  for (size_t i = 0; i < plan->dns_count; i++) {
    fputs(i == 0 ? "    elements = { " : ", ", out);
    print_address(out, plan->dns[i]);
  }
  fputs(plan->dns_count > 0 ? " }\n  }\n" : "  }\n", out);
  fputs("  map marks {\n    type ipv4_addr : mark;\n    elements = {", out);
  for (uint64_t i = 0; i < plan->slots; i++) {
    fputs(i == 0 ? " " : ", ", out);
    print_address(out, slot_address(pool, i));
    fprintf(out, " : 0x%08x", slot_address(pool, i));
  }
  fputs(" }\n  }\n", out);
}

static void print_guards(FILE *out, const struct pool_plan *plan, const struct pool *pool) {
  fprintf(out, "table netdev %s {\n", pool->table);
  for (uint64_t i = 0; i < plan->slots; i++) {
    char link[16];
    slot_link(pool, i, link);
    fprintf(out, "  chain slot_%llu {\n", (unsigned long long)i);
    fprintf(out, "    type filter hook ingress device \"%s\" priority 0; policy drop;\n    ip saddr ", link);
    print_address(out, slot_address(pool, i));
    fputs(" accept\n    arp saddr ip ", out);
    print_address(out, slot_address(pool, i));
    fputs(" arp daddr ip ", out);
    print_address(out, pool->gateway);
    fputs(" accept\n  }\n", out);
  }
  fputs("}\n", out);
}

void print_rules(FILE *out, const struct pool_plan *plan, const struct pool *pool) {
  const char *bridge = pool->bridge;
  print_guards(out, plan, pool);
  fprintf(out, "table inet %s {\n", pool->table);
  print_sets(out, plan, pool);
  fputs(REFUSE, out);
  fprintf(out,
          "  chain to_host {\n    meta nfproto ipv6 drop\n%s"
          "    ip daddr @opened_hosts accept\n"
          "    goto refuse\n  }\n",
          TO);
  fprintf(out,
          "  chain outward {\n    meta nfproto ipv6 drop\n    oifname \"%s\" goto refuse\n%s"
          "    ip daddr @opened_link_local accept\n"
          "    ip daddr 169.254.0.0/16 goto refuse\n"
          "    ip daddr @opened accept\n"
          "    ip daddr @closed goto refuse\n"
          "    accept\n  }\n",
          bridge, TO);
  fprintf(out, "  chain backward {\n    ct state established,related accept\n    drop\n  }\n");
  fprintf(out,
          "  chain heard {\n    type filter hook input priority filter - 10; policy accept;\n"
          "    iifname \"%s\" jump to_host\n  }\n",
          bridge);
  fprintf(out,
          "  chain passed {\n    type filter hook forward priority filter - 10; policy accept;\n"
          "    iifname \"%s\" jump outward\n    oifname \"%s\" jump backward\n  }\n",
          bridge, bridge);
  fprintf(out, "  chain hidden {\n    type nat hook postrouting priority srcnat; policy accept;\n    ip saddr ");
  print_address(out, pool->block.network);
  fprintf(out, "/%u oifname != \"%s\" masquerade\n  }\n}\n", pool->block.prefix, bridge);
}
