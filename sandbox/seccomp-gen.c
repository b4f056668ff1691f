/* Writes the seccomp filter of one architecture as a C header: seccomp-gen ARCH < seccomp.policy > header.
 *
 * The numbers are cut into ranges with one answer each, and a binary tree finds the range: about 9
 * comparisons instead of one for every call known. Not part of the helper; run by `make policy`. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RULES = 512, MAX_RANGES = 1100, MAX_VALUES = 16, MAX_CODE = 4000, MAX_NUMBER = 1024 };

enum test { ALWAYS, BITS, ONEOF, MASKED };

struct rule {
  unsigned number;
  int allow, only; /* only: the errno is the answer unless the test holds */
  int error;
  enum test test;
  unsigned argument, mask, values[MAX_VALUES], count;
  int has_when;
  unsigned when_argument, when_value;
};

struct range {
  unsigned first;
  int answer; /* ALLOW, or -errno, or the number of a call whose arguments decide */
};

enum { ALLOW = 1 << 20 };

static struct rule rules[MAX_RULES];
static size_t rule_count;
static struct range ranges[MAX_RANGES];
static size_t range_count;
static struct { unsigned code, jt, jf, k; } code[MAX_CODE];
static size_t code_count;
static size_t block_at[MAX_NUMBER];

static void stop(const char *why, const char *line) {
  fprintf(stderr, "seccomp-gen: %s: %s\n", why, line);
  exit(1);
}

static const struct {
  const char *name;
  int error;
} ERRORS[] = {{"EPERM", 1}, {"EINVAL", 22}, {"ENOSYS", 38}, {"EPROTONOSUPPORT", 93}, {"EAFNOSUPPORT", 97}};

static int error_of(const char *name) {
  for (size_t i = 0; name != NULL && i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
    if (strcmp(ERRORS[i].name, name) == 0) return ERRORS[i].error;
  }
  return 0;
}

static unsigned number_of(char *word, const char *line) {
  char *end;
  if (word == NULL) stop("a number is missing", line);
  unsigned long value = strtoul(word, &end, 0);
  if (*end != '\0' || end == word || value > UINT32_MAX) stop("not a number", line);
  return (unsigned)value;
}

static void read_values(struct rule *rule, char *list, const char *line) {
  char *rest = list;
  if (list == NULL) stop("values are missing", line);
  for (char *one; (one = strsep(&rest, ",")) != NULL;) {
    if (rule->count == MAX_VALUES) stop("too many values", line);
    rule->values[rule->count++] = number_of(one, line);
  }
}

static void read_action(struct rule *rule, char **rest, const char *line) {
  char *verb = strsep(rest, " ");
  if (verb != NULL && strcmp(verb, "allow") == 0) rule->allow = 1;
  if (rule->allow) return;
  if (verb == NULL || (strcmp(verb, "deny") != 0 && strcmp(verb, "only") != 0)) stop("not an action", line);
  rule->only = strcmp(verb, "only") == 0;
  rule->error = error_of(strsep(rest, " "));
  if (rule->error == 0) stop("not an errno known here", line);
  char *test = strsep(rest, " ");
  if (test == NULL) return;
  rule->argument = number_of(strsep(rest, " "), line);
  if (strcmp(test, "oneof") == 0)
    rule->test = ONEOF;
  else if (strcmp(test, "bits") == 0)
    rule->test = BITS;
  else if (strcmp(test, "masked") == 0)
    rule->test = MASKED;
  else
    stop("not a test", line);
  if (rule->test != ONEOF) rule->mask = number_of(strsep(rest, " "), line);
  if (rule->test != BITS) read_values(rule, strsep(rest, " "), line);
  char *when = strsep(rest, " ");
  if (when == NULL) return;
  if (strcmp(when, "when") != 0) stop("words too many", line);
  rule->has_when = 1;
  rule->when_argument = number_of(strsep(rest, " "), line);
  rule->when_value = number_of(strsep(rest, " "), line);
}

static void read_policy(int column) {
  char line[256], whole[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    strcpy(whole, line);
    if (line[0] == '#' || line[0] == '\0') continue;
    char name[64], numbers[2][16];
    int used = 0;
    if (sscanf(line, "%63s %15s %15s %n", name, numbers[0], numbers[1], &used) < 3 || used == 0)
      stop("not a line", whole);
    if (strcmp(numbers[column], "-") == 0) continue;
    if (rule_count == MAX_RULES) stop("too many lines", whole);
    struct rule *rule = &rules[rule_count++];
    char *rest = line + used;
    rule->number = number_of(numbers[column], whole);
    if (rule->number >= MAX_NUMBER) stop("the number is too high", whole);
    read_action(rule, &rest, whole);
  }
}

static int answer_of(unsigned number) {
  for (size_t i = 0; i < rule_count; i++) {
    if (rules[i].number != number) continue;
    if (rules[i].allow) return ALLOW;
    return rules[i].test == ALWAYS ? -rules[i].error : (int)number;
  }
  return -error_of("ENOSYS");
}

static void make_ranges(void) {
  for (unsigned number = 0; number <= MAX_NUMBER; number++) {
    int answer = number == MAX_NUMBER ? -error_of("ENOSYS") : answer_of(number);
    if (range_count > 0 && ranges[range_count - 1].answer == answer) continue;
    ranges[range_count].first = number;
    ranges[range_count++].answer = answer;
  }
}

enum {
  LOAD = 0x20,
  AND = 0x54,
  JUMP = 0x05,
  JUMP_EQUAL = 0x15,
  JUMP_NOT_BELOW = 0x35,
  JUMP_BITS = 0x45,
  RETURN = 0x06
};
static const unsigned RETURN_ALLOW = 0x7fff0000, RETURN_ERRNO = 0x00050000;

static void emit(unsigned operation, unsigned jt, unsigned jf, unsigned k) {
  if (code_count == MAX_CODE || jt > 255 || jf > 255) stop("the filter is too long", "");
  code[code_count].code = operation;
  code[code_count].jt = jt;
  code[code_count].jf = jf;
  code[code_count++].k = k;
}

static size_t tree_size(size_t first, size_t count) {
  if (count == 1) return 1;
  size_t left = tree_size(first, count / 2);
  return 1 + (left > 255) + left + tree_size(first + count / 2, count - count / 2);
}

/* A leaf whose arguments decide is a jump; where to is filled in when the blocks are there. */
static void emit_tree(size_t first, size_t count) {
  if (count == 1) {
    int answer = ranges[first].answer;
    if (answer == ALLOW)
      emit(RETURN, 0, 0, RETURN_ALLOW);
    else if (answer < 0)
      emit(RETURN, 0, 0, RETURN_ERRNO | (unsigned)-answer);
    else
      emit(JUMP, 0, 0, (unsigned)answer);
    return;
  }
  size_t half = count / 2, left = tree_size(first, half);
  unsigned from = ranges[first + half].first;
  if (left <= 255)
    emit(JUMP_NOT_BELOW, (unsigned)left, 0, from);
  else {
    emit(JUMP_NOT_BELOW, 0, 1, from);
    emit(JUMP, 0, 0, (unsigned)left);
  }
  emit_tree(first, half);
  emit_tree(first + half, count - half);
}

static unsigned low_half_of(unsigned argument) {
  return 16 + 8 * argument;
}

/* Falls through when the rule has nothing to say. */
static void emit_rule(const struct rule *rule) {
  size_t when = 0;
  if (rule->has_when) {
    emit(LOAD, 0, 0, low_half_of(rule->when_argument));
    when = code_count;
    emit(JUMP_EQUAL, 0, 0, rule->when_value);
  }
  emit(LOAD, 0, 0, low_half_of(rule->argument));
  if (rule->test == BITS)
    emit(JUMP_BITS, 0, 1, rule->mask);
  else {
    if (rule->test == MASKED) emit(AND, 0, 0, rule->mask);
    for (unsigned i = 0; i < rule->count; i++) {
      unsigned after = rule->count - 1 - i; /* values still to compare */
      int last = after == 0;
      if (rule->only)
        emit(JUMP_EQUAL, after + 1, 0, rule->values[i]);
      else
        emit(JUMP_EQUAL, after, (unsigned)last, rule->values[i]);
    }
  }
  emit(RETURN, 0, 0, RETURN_ERRNO | (unsigned)rule->error);
  if (rule->has_when) code[when].jf = (unsigned)(code_count - when - 1);
}

static void emit_blocks(void) {
  for (size_t i = 0; i < rule_count; i++) {
    unsigned number = rules[i].number;
    if (rules[i].allow || rules[i].test == ALWAYS || block_at[number] != 0) continue;
    block_at[number] = code_count;
    for (size_t j = i; j < rule_count; j++) {
      if (rules[j].number == number) emit_rule(&rules[j]);
    }
    emit(RETURN, 0, 0, RETURN_ALLOW);
  }
}

int main(int argc, char **argv) {
  static const struct {
    const char *name, *audit;
  } ARCHES[] = {{"x86_64", "AUDIT_ARCH_X86_64"}, {"aarch64", "AUDIT_ARCH_AARCH64"}};
  int column = argc == 2 && strcmp(argv[1], "aarch64") == 0;
  if (argc != 2 || strcmp(argv[1], ARCHES[column].name) != 0)
    stop("usage", "seccomp-gen x86_64|aarch64 < seccomp.policy");
  read_policy(column);
  make_ranges();

  emit(LOAD, 0, 0, 4); /* the ABI: another one has other numbers */
  emit(JUMP_EQUAL, 1, 0, column == 0 ? 0xc000003e : 0xc00000b7);
  emit(RETURN, 0, 0, RETURN_ERRNO | (unsigned)error_of("ENOSYS"));
  emit(LOAD, 0, 0, 0);
  size_t tree = code_count;
  emit_tree(0, range_count);
  size_t end = code_count;
  emit_blocks();
  for (size_t i = tree; i < end; i++) {
    int is_leaf =
        code[i].code == JUMP && !(code[i - 1].code == JUMP_NOT_BELOW && code[i - 1].jt == 0 && code[i - 1].jf == 1);
    if (is_leaf) code[i].k = (unsigned)(block_at[code[i].k] - i - 1);
  }

  printf("/* Written by seccomp-gen from seccomp.policy for %s. Do not edit: `make -C sandbox policy`. */\n",
         ARCHES[column].audit);
  printf("static const struct sock_filter FILTER[] = {\n");
  for (size_t i = 0; i < code_count; i++)
    printf("    {0x%02x, %u, %u, 0x%08x},\n", code[i].code, code[i].jt, code[i].jf, code[i].k);
  printf("};\n");
  return 0;
}
