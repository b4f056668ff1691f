/* What no build reaches unless the pool opens it, and what a pool opens. The rules hold it (rules.c); said here for
 * whoever lists an address that they would refuse. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "network.h"

#define POLICY "policy"

const struct cidr LINK_LOCAL = {0xa9fe0000u, 16};

/* Addresses that are not of the public internet. */
const struct cidr CLOSED[CLOSED_COUNT] = {
    {0x00000000u, 8},  /* this network */
    {0x0a000000u, 8},  /* private */
    {0x64400000u, 10}, /* of carriers */
    {0x7f000000u, 8},  /* loopback */
    {0xa9fe0000u, 16}, /* link-local, where clouds keep their metadata */
    {0xac100000u, 12}, /* private */
    {0xc0000000u, 24}, /* of protocols */
    {0xc0a80000u, 16}, /* private */
    {0xc6120000u, 15}, /* of benchmarks */
    {0xe0000000u, 4},  /* multicast */
    {0xf0000000u, 4},  /* reserved, and broadcast */
};

bool is_link_local(const struct cidr *cidr) {
  return cidr_contains(&LINK_LOCAL, cidr);
}

/* Lines of a word and a network: `slots` once, `open` for each. */
int policy_write(int state, const struct pool_plan *plan, const struct pool *pool, struct failure *failure) {
  int fd = openat(state, POLICY, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
  FILE *out = fd < 0 ? NULL : fdopen(fd, "w");
  if (out == NULL) {
    if (fd >= 0) close(fd);
    return failed(failure, "net", "cannot write " POLICY " in the state directory");
  }
  fputs("slots ", out);
  print_cidr(out, &pool->block);
  for (size_t i = 0; i < plan->open_count; i++) {
    fputs("\nopen ", out);
    print_cidr(out, &plan->open[i]);
  }
  fputc('\n', out);
  return fclose(out) == 0 ? 0 : failed(failure, "net", "cannot write " POLICY " in the state directory");
}

int policy_remove(int state, struct failure *failure) {
  if (unlinkat(state, POLICY, 0) == 0 || errno == ENOENT) return 0;
  return failed(failure, "net", "cannot remove " POLICY " in the state directory");
}

int policy_read(const struct pool *pool, struct policy *policy, struct failure *failure) {
  char path[sizeof pool->state + sizeof "/" POLICY], line[64], word[8], network[CIDR_TEXT];
  snprintf(path, sizeof path, "%s/" POLICY, pool->state);
  FILE *file = fopen(path, "re");
  bool has_slots = false, whole = file != NULL;
  *policy = (struct policy){0};
  while (whole && fgets(line, sizeof line, file) != NULL) {
    struct cidr cidr;
    whole = sscanf(line, "%7s %18s", word, network) == 2 && read_cidr(network, &cidr) && policy->open_count < MAX_OPEN;
    if (!whole) break;
    if (strcmp(word, "slots") == 0)
      policy->slots = cidr;
    else
      policy->open[policy->open_count++] = cidr;
    has_slots |= strcmp(word, "slots") == 0;
  }
  if (file != NULL) fclose(file);
  return whole && has_slots ? 0 : failed(failure, "network", "cannot read %s", path);
}

/* A network that is open in part is not closed: what of it is, the rules know. */
const struct cidr *policy_closes(const struct policy *policy, const struct cidr *wanted) {
  if (cidr_contains(&policy->slots, wanted)) return &policy->slots;
  for (size_t i = 0; i < policy->open_count; i++) {
    bool reaches = !is_link_local(wanted) || is_link_local(&policy->open[i]);
    if (reaches && cidr_overlap(&policy->open[i], wanted)) return NULL;
  }
  for (size_t i = 0; i < CLOSED_COUNT; i++) {
    if (cidr_contains(&CLOSED[i], wanted)) return &CLOSED[i];
  }
  return NULL;
}

bool policy_opens_host(const struct policy *policy, uint32_t address) {
  for (size_t i = 0; i < policy->open_count; i++) {
    if (policy->open[i].prefix == 32 && policy->open[i].network == address) return true;
  }
  return false;
}
