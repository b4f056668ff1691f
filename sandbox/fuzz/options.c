/* The command line of `run`, and what --args adds to it: whatever the words are, they make a plan that can be carried
 * out, or a sentence. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../toroid-sandbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __sanitizer_install_malloc_and_free_hooks(void (*made)(const volatile void *, size_t),
                                              void (*freed)(const volatile void *));

#define MUST(condition)                                                                                                \
  do {                                                                                                                 \
    if (!(condition)) abort();                                                                                         \
  } while (0)

/* What is parsed is kept until the helper ends, which is once. Here it would be a million times. */
enum { MOST_KEPT = 65536 };
static const volatile void *kept[MOST_KEPT];
static size_t kept_count;
/* Of the thread that parses: the fuzzer has one of its own, which may begin at any time. */
static _Thread_local bool keeping;

static void made(const volatile void *at, size_t size) {
  (void)size;
  if (keeping && kept_count < MOST_KEPT) kept[kept_count++] = at;
}

static void freed(const volatile void *at) {
  for (size_t i = kept_count; keeping && i-- > 0;) {
    if (kept[i] != at) continue;
    kept[i] = kept[--kept_count];
    return;
  }
}

static void forget(void) {
  keeping = false;
  while (kept_count > 0) free((void *)kept[--kept_count]);
}

/* ---- the words ---- */

#define DIVIDE "==args=="

/* In place of whatever descriptor was asked for: those of this process are none of theirs. */
static void set_descriptor(struct list *words, char *number) {
  for (size_t i = 0; i + 1 < words->count; i++) {
    if (strcmp(words->at[i], "--args") == 0) words->at[i + 1] = number;
  }
}

static char *nobody = (char[]){"1000000"};

static int given(const uint8_t *bytes, size_t size) {
  char *text = malloc(size + 1);
  MUST(text != NULL);
  memcpy(text, bytes, size);
  text[size] = '\0';
  /* as long as before, for the end may be missing and that is one of the things to try */
  for (size_t at = 0; at + 7 < size; at++) {
    if (memcmp(text + at, "--args", 7) == 0) text[at + 2] = 'b';
  }
  int fd = memfd_create("args", MFD_CLOEXEC);
  MUST(fd >= 0 && write(fd, text, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
  free(text);
  return fd;
}

static bool is_absolute(const char *path) {
  return path == NULL || path[0] == '/';
}

static void check(const struct plan *plan) {
  MUST(plan->argv.count > 0 && plan->argv.at[0][0] != '\0' && plan->argv.at[plan->argv.count] == NULL);
  MUST(plan->lowers.count > 0 && plan->lowers.count <= MAX_LOWERS && plan->op_count <= MAX_OPS);
  MUST(plan->scratch != NULL && is_absolute(plan->scratch) && is_absolute(plan->cwd) && is_absolute(plan->cgroup));
  MUST((plan->network == NETWORK_FULL) == (plan->netns != NULL));
  MUST(plan->user < UID_COUNT && plan->group < UID_COUNT && plan->hostname[0] != '\0');
  MUST(plan->uid_base == 0 || plan->uid_base >= UID_COUNT);
  MUST(plan->status_fd == NO_FD || (plan->status_fd >= 3 && plan->status_fd <= INT32_MAX));
  bool has_path = false;
  for (size_t i = 0; i < plan->env.count; i++) {
    MUST(strchr(plan->env.at[i], '=') != NULL && plan->env.at[i][0] != '=');
    has_path |= strncmp(plan->env.at[i], "PATH=", 5) == 0;
  }
  MUST(has_path);
  for (size_t i = 0; i < plan->op_count; i++) MUST(plan->ops[i].target[0] == '/' && plan->ops[i].target[1] != '\0');
  for (size_t i = 0; i < plan->lowers.count; i++)
    MUST(plan->lowers.at[i][0] == '/' || strcmp(plan->lowers.at[i], "host") == 0);
}

static void parse(char *text, size_t size, const uint8_t *rest, size_t rest_size) {
  static struct plan plan;
  struct list words = {0};
  struct sentence why = {""};
  char number[16];
  for (size_t at = 0; at < size; at += strlen(text + at) + 1) MUST(list_add(&words, text + at) == 0);
  int fd = given(rest, rest_size);
  snprintf(number, sizeof number, "%d", fd);
  set_descriptor(&words, number);
  plan = (struct plan){0};
  if (words.count == 0) MUST(list_add(&words, nobody) == 0);
  if (parse_run(&plan, &words, &why) == 0)
    check(&plan);
  else
    MUST(why.text[0] != '\0');
  close(fd); /* or it was read, and is closed */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool hooked;
  if (!hooked) MUST(__sanitizer_install_malloc_and_free_hooks(made, freed) != 0);
  hooked = true;
  const uint8_t *divide = memmem(data, size, DIVIDE, strlen(DIVIDE) + 1);
  size_t own = divide == NULL ? size : (size_t)(divide - data);
  const uint8_t *rest = divide == NULL ? data + size : divide + strlen(DIVIDE) + 1;
  char *text = malloc(own + 1);
  MUST(text != NULL);
  memcpy(text, data, own);
  text[own] = '\0';
  keeping = true;
  parse(text, own, rest, (size_t)(data + size - rest));
  forget();
  free(text);
  return 0;
}
