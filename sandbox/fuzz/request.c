/* Requests of clients of `serve`: whatever the bytes are, a plan that comes of them has nothing in it that is the
 * host's to say. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../toroid-sandbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition)) abort();                                                                                         \
  } while (0)

enum { MOST = 65536 }; /* what the socket takes without anybody reading */

static void check_clients_plan(const struct plan *plan) {
  MUST(plan->argv.count > 0 && plan->argv.at[0][0] != '\0');
  MUST(plan->scratch == NULL || is_name(plan->scratch));
  MUST(plan->op_count <= MAX_OPS && plan->lowers.count <= MAX_LOWERS);
  MUST(plan->cgroup == NULL && plan->netns == NULL && plan->resolver_file == NULL);
  MUST(plan->uid_base == 0 && plan->bind_owner == 0 && plan->bind_userns == 0 && plan->allow_weak == 0);
  MUST(plan->status_fd == NO_FD && plan->args_fd == NO_FD && plan->parent_pid == 0);
  MUST(plan->slot == NO_SLOT || plan->slot < MAX_SLOTS);
  for (size_t i = 0; i < plan->op_count; i++) {
    MUST(plan->ops[i].source_fd == 0 && plan->ops[i].target[0] == '/');
    MUST(plan->ops[i].kind != OP_BIND || plan->ops[i].source[0] == '/');
  }
}

static void parse(struct list *words) {
  static struct plan plan;
  struct sentence why = {""};
  struct list rest = {.at = words->at + 1, .count = words->count - 1, .room = words->room - 1};
  plan = (struct plan){.is_client = true};
  if (parse_run_words(&plan, &rest, &why) == 0)
    check_clients_plan(&plan);
  else
    MUST(why.text[0] != '\0');
  struct list *lists[] = {&plan.lowers, &plan.masks, &plan.env, &plan.argv};
  for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) free(lists[i]->at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct list words = {0};
  struct sentence why = {""};
  int pair[2];
  if (size > MOST) return 0;
  MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  MUST(size == 0 || write(pair[0], data, size) == (ssize_t)size);
  MUST(shutdown(pair[0], SHUT_WR) == 0);
  if (read_request(pair[1], &words, &why) == 0) {
    MUST(words.count > 0);
    if (strcmp(words.at[0], "run") == 0) parse(&words);
  } else {
    MUST(why.text[0] != '\0');
  }
  free(words.at);
  close(pair[0]);
  close(pair[1]);
  return 0;
}
