/* IPv4 networks: read, written and compared. Addresses are in host order. */
#include <arpa/inet.h>
#include <string.h>

#include "network.h"

bool read_address(const char *text, uint32_t *into) {
  struct in_addr address;
  if (inet_pton(AF_INET, text, &address) != 1) return false;
  *into = ntohl(address.s_addr);
  return true;
}

/* What is set behind the prefix is a mistake more often than not. */
bool read_cidr(const char *text, struct cidr *into) {
  char address[24];
  uint64_t prefix = 32;
  size_t length = strcspn(text, "/");
  if (length >= sizeof address) return false;
  memcpy(address, text, length);
  address[length] = '\0';
  if (!read_address(address, &into->network)) return false;
  if (text[length] == '/' && !read_number(text + length + 1, 0, 32, &prefix)) return false;
  into->prefix = (unsigned)prefix;
  return prefix == 32 || (into->network & (UINT32_MAX >> prefix)) == 0;
}

void print_address(FILE *out, uint32_t address) {
  fprintf(out, "%u.%u.%u.%u", address >> 24, (address >> 16) & 255, (address >> 8) & 255, address & 255);
}

void print_cidr(FILE *out, const struct cidr *cidr) {
  print_address(out, cidr->network);
  fprintf(out, "/%u", cidr->prefix);
}

void cidr_text(const struct cidr *cidr, char into[CIDR_TEXT]) {
  uint32_t network = cidr->network;
  int used = snprintf(into, CIDR_TEXT, "%u.%u.%u.%u", network >> 24, (network >> 16) & 255, (network >> 8) & 255,
                      network & 255);
  if (cidr->prefix < 32) snprintf(into + used, (size_t)(CIDR_TEXT - used), "/%u", cidr->prefix);
}

static uint32_t mask_of(unsigned prefix) {
  return prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);
}

bool cidr_overlap(const struct cidr *a, const struct cidr *b) {
  uint32_t mask = mask_of(a->prefix < b->prefix ? a->prefix : b->prefix);
  return (a->network & mask) == (b->network & mask);
}

bool cidr_contains(const struct cidr *outer, const struct cidr *inner) {
  return outer->prefix <= inner->prefix && cidr_overlap(outer, inner);
}

uint32_t cidr_last(const struct cidr *cidr) {
  return cidr->network | ~mask_of(cidr->prefix);
}
