/* The allow list of a run: what --allow-host says, read, checked against the pool's policy, and written for the rules
 * and for /etc/hosts. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"

#define STEP "allow-host"

/* ---- reading ---- */

static bool is_host_name(const char *name) {
  size_t length = strlen(name);
  return length > 0 && length <= 253 && name[0] != '-' && name[0] != '.' &&
         strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == length;
}

/* ADDRESS[/PREFIX][:PORT] */
static bool read_target(char *text, struct allowed *into) {
  uint64_t port = 0;
  char *colon = strchr(text, ':');
  if (colon != NULL && !read_number(colon + 1, 1, UINT16_MAX, &port)) return false;
  if (colon != NULL) *colon = '\0';
  into->port = (uint16_t)port;
  return read_cidr(text, &into->to);
}

/* [NAME=]TARGET[,TARGET...] */
int parse_allow(struct plan *plan, char *value, struct sentence *why) {
  char *targets = strchr(value, '='), *rest = NULL, said[100];
  snprintf(said, sizeof said, "%s", value);
  const char *name = targets == NULL ? NULL : value;
  if (targets != NULL) *targets++ = '\0';
  if (name != NULL && !is_host_name(name)) return refuse(why, "--allow-host: `%.100s` is no name of a host", name);
  size_t before = plan->allow_count;
  for (char *at = strtok_r(targets == NULL ? value : targets, ",", &rest); at != NULL;
       at = strtok_r(NULL, ",", &rest)) {
    if (plan->allow_count == MAX_ALLOWED) return refuse(why, "--allow-host: there are more than %d", MAX_ALLOWED);
    struct allowed *allowed = &plan->allow[plan->allow_count++];
    allowed->name = name;
    if (!read_target(at, allowed) || (name != NULL && allowed->to.prefix != 32))
      return refuse(why,
                    "--allow-host wants NAME=ADDRESS[,ADDRESS...], an IPv4 address or a network, each with :PORT or "
                    "without, not `%s`",
                    said);
  }
  return plan->allow_count > before ? 0 : refuse(why, "--allow-host %s names no address", said);
}

/* ---- checking ---- */

static int refuse_closed(const struct allowed *allowed, struct failure *failure, const char *why, const char *range) {
  char address[CIDR_TEXT];
  cidr_text(&allowed->to, address);
  errno = 0;
  if (allowed->name == NULL) return failed(failure, STEP, "%s is closed to builds: it is %s%s", address, why, range);
  return failed(failure, STEP, "%.200s is at %s, which is closed to builds: it is %s%s", allowed->name, address, why,
                range);
}

/* In the host's namespace, whose own addresses are not for builds. */
int allow_check(const struct plan *plan, const struct pool *pool, struct failure *failure) {
  struct policy policy;
  if (policy_read(pool, &policy, failure) != 0) return -1;
  for (size_t i = 0; i < plan->allow_count; i++) {
    const struct allowed *allowed = &plan->allow[i];
    const struct cidr *closed = policy_closes(&policy, &allowed->to);
    char range[CIDR_TEXT] = "";
    if (closed != NULL) cidr_text(closed, range);
    if (closed == &policy.slots) return refuse_closed(allowed, failure, "another build's, of ", range);
    if (closed != NULL) return refuse_closed(allowed, failure, "in a range that the pool does not open, ", range);
    if (allowed->to.prefix == 32 && !policy_opens_host(&policy, allowed->to.network) && is_addressed(&allowed->to))
      return refuse_closed(allowed, failure, "an address of this host", "");
  }
  return 0;
}

/* ---- writing ---- */

/* Something else on the list lets all of it through. Of two that say the same the first stays. */
static bool is_covered(const struct plan *plan, size_t at) {
  const struct allowed *one = &plan->allow[at];
  for (size_t i = 0; i < plan->allow_count; i++) {
    const struct allowed *other = &plan->allow[i];
    if (i == at || other->port != one->port || !cidr_contains(&other->to, &one->to)) continue;
    if (other->to.prefix != one->to.prefix || i < at) return true;
  }
  return false;
}

static void add_all(struct nft *nft, const struct plan *plan, const char *set, bool with_port) {
  bool any = false;
  for (size_t i = 0; i < plan->allow_count; i++) {
    const struct allowed *allowed = &plan->allow[i];
    if ((allowed->port != 0) != with_port || is_covered(plan, i)) continue;
    if (!any) nft_open(nft, set);
    any = true;
    /* with a port: ipv4_addr . inet_service; without: ipv4_addr . inet_proto, every one of them */
    struct {
      uint32_t address;
      uint8_t more[4];
    } from = {htonl(allowed->to.network), {0}}, to = {htonl(cidr_last(&allowed->to)), {with_port ? 0 : UINT8_MAX}};
    if (with_port) {
      uint16_t port = htons(allowed->port);
      memcpy(from.more, &port, sizeof port);
      memcpy(to.more, &port, sizeof port);
    }
    nft_add(nft, &from, &to, sizeof from);
  }
  if (any) nft_close(nft);
}

void allow_add(struct nft *nft, const struct plan *plan, uint32_t slot) {
  char set[SET_NAME];
  uint32_t key = htonl(slot);
  slot_set(set, "hosts", slot);
  add_all(nft, plan, set, false);
  slot_set(set, "ports", slot);
  add_all(nft, plan, set, true);
  nft_add_one(nft, SET_LIMITED, &key, sizeof key);
}

char *allow_hosts(const struct plan *plan) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (out == NULL) return NULL;
  fputs("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n", out);
  for (size_t i = 0; i < plan->allow_count; i++) {
    if (plan->allow[i].name == NULL) continue;
    print_address(out, plan->allow[i].to.network);
    fprintf(out, " %s\n", plan->allow[i].name);
  }
  bool whole = ferror(out) == 0;
  if (fclose(out) == 0 && whole) return text;
  free(text);
  return NULL;
}
