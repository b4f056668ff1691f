/* Changes to the sets of a pool's rules, as one message to the kernel: all of it happens, or nothing. No program is
 * started for it. */
#include <arpa/inet.h> /* before the kernel's, which then leaves out what it defines */

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>

#include <errno.h>
#include <string.h>

#include "network.h"

static void *take(struct nft *nft, size_t length) {
  size_t whole = NLMSG_ALIGN(length);
  nft->full |= whole > sizeof nft->bytes - nft->used;
  char *at = nft->bytes + (nft->full ? 0 : nft->used); /* what is full is never sent */
  if (!nft->full) nft->used += whole;
  memset(at, 0, whole);
  return at;
}

static struct nlmsghdr *begin(struct nft *nft, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource) {
  struct nlmsghdr *message = take(nft, sizeof *message);
  struct nfgenmsg *head = take(nft, sizeof *head);
  *message = (struct nlmsghdr){.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};
  *head = (struct nfgenmsg){.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource)};
  return message;
}

static size_t length_since(const struct nft *nft, const void *start) {
  return (size_t)(nft->bytes + nft->used - (const char *)start);
}

static void end(const struct nft *nft, struct nlmsghdr *message) {
  if (!nft->full) message->nlmsg_len = (uint32_t)length_since(nft, message);
}

static struct nlattr *nest(struct nft *nft, uint16_t type) {
  struct nlattr *attribute = take(nft, sizeof *attribute);
  attribute->nla_type = type | NLA_F_NESTED;
  return attribute;
}

/* An attribute's length has 16 bits. */
static void end_nest(struct nft *nft, struct nlattr *attribute) {
  size_t length = nft->full ? 0 : length_since(nft, attribute);
  nft->full |= length > UINT16_MAX;
  attribute->nla_len = (uint16_t)length;
}

static void put(struct nft *nft, uint16_t type, const void *data, size_t length) {
  struct nlattr *attribute = take(nft, sizeof *attribute + length);
  if (nft->full) return;
  *attribute = (struct nlattr){.nla_type = type, .nla_len = (uint16_t)(sizeof *attribute + length)};
  memcpy(attribute + 1, data, length);
}

static void put_data(struct nft *nft, uint16_t type, const void *data, size_t length) {
  struct nlattr *key = nest(nft, type);
  put(nft, NFTA_DATA_VALUE, data, length);
  end_nest(nft, key);
}

static struct nlmsghdr *begin_elements(struct nft *nft, uint16_t what, const char *set) {
  struct nlmsghdr *message = begin(nft, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | what),
                                   what == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0, NFPROTO_INET, 0);
  put(nft, NFTA_SET_ELEM_LIST_TABLE, nft->table, strlen(nft->table) + 1);
  put(nft, NFTA_SET_ELEM_LIST_SET, set, strlen(set) + 1);
  return message;
}

void nft_begin(struct nft *nft, const char *table) {
  nft->used = 0;
  nft->full = false;
  nft->table = table;
  end(nft, begin(nft, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

void nft_empty(struct nft *nft, const char *set) {
  nft->last = begin_elements(nft, NFT_MSG_DELSETELEM, set);
  end(nft, nft->last);
}

void nft_open(struct nft *nft, const char *set) {
  nft->last = begin_elements(nft, NFT_MSG_NEWSETELEM, set);
  nft->list = nest(nft, NFTA_SET_ELEM_LIST_ELEMENTS);
}

void nft_add(struct nft *nft, const void *from, const void *to, size_t length) {
  struct nlattr *element = nest(nft, NFTA_LIST_ELEM);
  put_data(nft, NFTA_SET_ELEM_KEY, from, length);
  if (to != NULL) put_data(nft, NFTA_SET_ELEM_KEY_END, to, length);
  end_nest(nft, element);
}

void nft_close(struct nft *nft) {
  end_nest(nft, nft->list);
  end(nft, nft->last);
}

static void one(struct nft *nft, uint16_t what, const char *set, const void *key, size_t length) {
  nft->last = begin_elements(nft, what, set);
  nft->list = nest(nft, NFTA_SET_ELEM_LIST_ELEMENTS);
  nft_add(nft, key, NULL, length);
  nft_close(nft);
}

void nft_add_one(struct nft *nft, const char *set, const void *key, size_t length) {
  one(nft, NFT_MSG_NEWSETELEM, set, key, length);
}

void nft_remove_one(struct nft *nft, const char *set, const void *key, size_t length) {
  one(nft, NFT_MSG_DELSETELEM, set, key, length);
}

int nft_commit(struct nft *nft, int netfilter) {
  if (!nft->full) nft->last->nlmsg_flags |= NLM_F_ACK; /* an error of those before it is told first, and counts */
  end(nft, begin(nft, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  errno = E2BIG;
  return nft->full ? -1 : netlink_ask(netfilter, nft->bytes, nft->used);
}
