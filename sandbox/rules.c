/* What a slot may reach, as text for nft. Two tables of the pool's own, removed as a whole.
 *
 * netdev, at each slot's end: only the slot's address, as IPv4 to one host and as ARP, and nothing else at all.
 * inet, in the host's stack: from a slot to the host, from a slot onwards, and back. In the order that is the
 * argument: other slots never; what was let out may be answered; who has an allow list reaches nothing else; the
 * resolvers on port 53; then link-local, where clouds keep their metadata, which is opened only by naming a part of it;
 * then what was opened; then the private ranges, closed; the rest is public. What is let out is counted.
 *
 * Runs change sets only, by netlink (slot.c, allow.c): `limited`, who has an allow list, and four sets of each slot. */
#include <stdio.h>

#include "network.h"

/* An answer at once, so that a build fails and does not hang. The kernel limits ICMP to one a second, resets not. */
static const char REFUSE[] = "  chain refuse {\n    meta l4proto tcp reject with tcp reset\n"
                             "    reject with icmp type admin-prohibited\n  }\n";

/* A datagram that follows one that was let out is let out, answered or not, and not counted again: only what was let
 * out keeps its mark. */
static const char TO[] = "    ct state invalid drop\n"
                         "    ct state established,related accept\n"
                         "    ip saddr . ct mark @known accept\n"
                         "    ct mark set ip saddr map @marks\n"
                         "    ip saddr @" SET_LIMITED " ip saddr vmap @lists\n"
                         "    ip daddr @resolvers meta l4proto { tcp, udp } th dport 53 goto let_out\n";

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
    print_cidr(out, &plan->open[i]);
  }
  fputs(count > 0 ? " }\n  }\n" : "  }\n", out);
}

static void print_sets(FILE *out, const struct pool_plan *plan) {
  print_set(out, "opened", plan, is_any);
  print_set(out, "opened_link_local", plan, is_link_local);
  print_set(out, "opened_hosts", plan, is_one_host);
  fputs("  set closed {\n    type ipv4_addr; flags interval; auto-merge;\n    elements = {", out);
  for (size_t i = 0; i < CLOSED_COUNT; i++) {
    fputs(i == 0 ? " " : ", ", out);
    print_cidr(out, &CLOSED[i]);
  }
  fputs(" }\n  }\n", out);
  fputs("  set resolvers {\n    type ipv4_addr;\n", out);
  for (size_t i = 0; i < plan->dns_count; i++) {
    fputs(i == 0 ? "    elements = { " : ", ", out);
    print_address(out, plan->dns[i]);
  }
  fputs(plan->dns_count > 0 ? " }\n  }\n" : "  }\n", out);
}

/* An element for each slot: its address and what `print` says to it. */
static void print_each(FILE *out, const struct pool_plan *plan, const struct pool *pool, const char *head,
                       void (*print)(FILE *out, uint32_t address)) {
  fprintf(out, "  %s\n    elements = {", head);
  for (uint64_t i = 0; i < plan->slots; i++) {
    fputs(i == 0 ? " " : ", ", out);
    print_address(out, slot_address(pool, i));
    print(out, slot_address(pool, i));
  }
  fputs(" }\n  }\n", out);
}

static void print_mark(FILE *out, uint32_t address) {
  fprintf(out, " : 0x%08x", address);
}

static void print_known(FILE *out, uint32_t address) {
  fprintf(out, " . 0x%08x", address);
}

static void print_list(FILE *out, uint32_t address) {
  fputs(" : jump list_", out);
  print_address(out, address);
}

static void print_count(FILE *out, uint32_t address) {
  fputs(" : goto count_", out);
  print_address(out, address);
}

/* Of what a run adds to the sets, nothing is there before it and nothing after it. What does not fit is not let out. */
static void print_slot(FILE *out, const struct pool_plan *plan, uint32_t address) {
  char own[CIDR_TEXT];
  unsigned long long most = plan->connections;
  cidr_text(&(struct cidr){address, 32}, own);
  fprintf(out,
          "  set hosts_%s { type ipv4_addr . inet_proto; flags interval; }\n"
          "  set ports_%s { type ipv4_addr . inet_service; flags interval; }\n"
          "  set rate_%s { type ipv4_addr; size 16; flags dynamic; }\n"
          "  set open_%s { type ipv4_addr; size 16; flags dynamic; }\n",
          own, own, own, own);
  fprintf(out,
          "  chain list_%s {\n    ip daddr . meta l4proto @hosts_%s return\n"
          "    meta l4proto { tcp, udp } ip daddr . th dport @ports_%s return\n    goto refuse\n  }\n",
          own, own, own);
  fprintf(out,
          "  chain count_%s {\n    add @rate_%s { ip saddr limit rate %llu/minute burst %llu packets } "
          "add @open_%s { ip saddr ct count %llu } accept\n    goto refuse\n  }\n",
          own, own, most, most, own, most);
}

static void print_slots(FILE *out, const struct pool_plan *plan, const struct pool *pool) {
  fputs("  set " SET_LIMITED " { type ipv4_addr; }\n", out);
  for (uint64_t i = 0; i < plan->slots; i++) print_slot(out, plan, slot_address(pool, i));
  print_each(out, plan, pool, "map marks {\n    type ipv4_addr : mark;", print_mark);
  print_each(out, plan, pool, "set known {\n    type ipv4_addr . mark;", print_known);
  print_each(out, plan, pool, "map lists {\n    type ipv4_addr : verdict;", print_list);
  print_each(out, plan, pool, "map counts {\n    type ipv4_addr : verdict;", print_count);
  fputs("  chain let_out {\n    ip saddr vmap @counts\n    drop\n  }\n", out);
}

/* Nor anything to many at once: it would reach nobody, but where the host filters its bridges (br_netfilter) the kernel
 * remembers it before any rule of ours is asked. */
static void print_guards(FILE *out, const struct pool_plan *plan, const struct pool *pool) {
  fprintf(out, "table netdev %s {\n", pool->table);
  for (uint64_t i = 0; i < plan->slots; i++) {
    char link[16];
    slot_link(pool, i, link);
    fprintf(out, "  chain slot_%llu {\n", (unsigned long long)i);
    fprintf(out, "    type filter hook ingress device \"%s\" priority 0; policy drop;\n    ip saddr ", link);
    print_address(out, slot_address(pool, i));
    fputs(" ip daddr != 224.0.0.0/3 accept\n    arp saddr ip ", out);
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
  print_sets(out, plan);
  fputs(REFUSE, out);
  print_slots(out, plan, pool);
  fprintf(out,
          "  chain to_host {\n    meta nfproto ipv6 drop\n%s"
          "    ip daddr @opened_hosts goto let_out\n"
          "    goto refuse\n  }\n",
          TO);
  fprintf(out,
          "  chain outward {\n    meta nfproto ipv6 drop\n    oifname \"%s\" goto refuse\n%s"
          "    ip daddr @opened_link_local goto let_out\n"
          "    ip daddr 169.254.0.0/16 goto refuse\n"
          "    ip daddr @opened goto let_out\n"
          "    ip daddr @closed goto refuse\n"
          "    goto let_out\n  }\n",
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
