/* Writes the seccomp filter of one architecture as a C header: seccomp-gen ARCH < seccomp.policy > header.
 * Run by `make policy`, with libseccomp, which makes a binary tree of the numbers. Not part of the helper.
 *
 * libseccomp knows no order of rules and no "otherwise", and takes one comparison of an argument a rule. So the lines
 * of a call are turned into cases that exclude each other: each argument is cut into the values that its lines name and
 * the rest, the lines are asked what they say to every combination, and each combination that matters is one rule. "The
 * rest" is a comparison that always holds (>= 0), which the library asks after the comparisons for equality. That it
 * does is nothing it promises: test/unit/sandbox/seccomp.test.ts runs the filter over every call and says whether it
 * answers as the policy does. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_RULES = 512, MAX_VALUES = 16, MAX_NUMBER = 1024, ARGUMENTS = 6, MAX_CODE = 4096, ALLOW = 0 };

enum test { ALWAYS, BITS, ONEOF, MASKED };

struct rule {
  char name[64];
  unsigned number;
  bool allow, only; /* only: the errno is the answer unless the test holds */
  int error;
  enum test test;
  unsigned argument, mask, values[MAX_VALUES], count;
  bool has_when;
  unsigned when_argument, when_value;
};

/* How one argument of a call is told apart: (argument & mask) is one of the values, or it is none of them. */
struct cut {
  unsigned mask, values[MAX_VALUES], count; /* mask 0: nobody asks */
  unsigned none;                            /* one that is none of them */
};

static struct rule rules[MAX_RULES];
static size_t rule_count;
static scmp_filter_ctx filter;

static void stop(const char *why, const char *where) {
  fprintf(stderr, "seccomp-gen: %s: %s\n", why, where);
  exit(1);
}

/* Every answer of the library's counts: a rule that it refused would be a hole, or a wall in the wrong place. */
static void must(int result, const char *what) {
  if (result < 0) stop(strerror(-result), what);
}

static int error_of(const char *name) {
  static const struct {
    const char *name;
    int error;
  } ERRORS[] = {{"EPERM", EPERM},
                {"EINVAL", EINVAL},
                {"ENOSYS", ENOSYS},
                {"EPROTONOSUPPORT", EPROTONOSUPPORT},
                {"EAFNOSUPPORT", EAFNOSUPPORT}};
  for (size_t i = 0; name != NULL && i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
    if (strcmp(ERRORS[i].name, name) == 0) return ERRORS[i].error;
  }
  return 0;
}

static unsigned number_of(const char *word, unsigned most, const char *line) {
  char *end;
  if (word == NULL) stop("a number is missing", line);
  unsigned long value = strtoul(word, &end, 0);
  if (*end != '\0' || end == word || value > most) stop("not a number here", line);
  return (unsigned)value;
}

static unsigned argument_of(const char *word, const char *line) {
  return number_of(word, ARGUMENTS - 1, line);
}

static void read_values(struct rule *rule, char *list, const char *line) {
  char *rest = list;
  if (list == NULL) stop("values are missing", line);
  for (char *one; (one = strsep(&rest, ",")) != NULL;) {
    if (rule->count == MAX_VALUES) stop("too many values", line);
    rule->values[rule->count++] = number_of(one, UINT32_MAX, line);
  }
}

static void read_action(struct rule *rule, char **rest, const char *line) {
  const char *verb = strsep(rest, " ");
  rule->allow = verb != NULL && strcmp(verb, "allow") == 0;
  if (rule->allow) return;
  if (verb == NULL || (strcmp(verb, "deny") != 0 && strcmp(verb, "only") != 0)) stop("not an action", line);
  rule->only = strcmp(verb, "only") == 0;
  rule->error = error_of(strsep(rest, " "));
  if (rule->error == 0) stop("not an errno known here", line);
  const char *test = strsep(rest, " ");
  if (test == NULL) return;
  rule->argument = argument_of(strsep(rest, " "), line);
  rule->mask = UINT32_MAX; /* of 64 bits: the high half of a register is nothing that the kernel looks at */
  if (strcmp(test, "oneof") == 0)
    rule->test = ONEOF;
  else if (strcmp(test, "bits") == 0)
    rule->test = BITS;
  else if (strcmp(test, "masked") == 0)
    rule->test = MASKED;
  else
    stop("not a test", line);
  if (rule->test != ONEOF) rule->mask = number_of(strsep(rest, " "), UINT32_MAX, line);
  if (rule->test != BITS) read_values(rule, strsep(rest, " "), line);
  const char *when = strsep(rest, " ");
  if (when == NULL) return;
  if (strcmp(when, "when") != 0) stop("words too many", line);
  rule->has_when = true;
  rule->when_argument = argument_of(strsep(rest, " "), line);
  rule->when_value = number_of(strsep(rest, " "), UINT32_MAX, line);
}

static void read_policy(bool second_column) {
  char line[256], whole[256];
  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    strcpy(whole, line);
    if (line[0] == '#' || line[0] == '\0') continue;
    char name[64], numbers[2][16];
    int used = 0;
    if (sscanf(line, "%63s %15s %15s %n", name, numbers[0], numbers[1], &used) < 3 || used == 0)
      stop("not a line", whole);
    const char *number = numbers[second_column];
    if (strcmp(number, "-") == 0) continue;
    if (rule_count == MAX_RULES) stop("too many lines", whole);
    struct rule *rule = &rules[rule_count++];
    char *rest = line + used;
    strcpy(rule->name, name);
    rule->number = number_of(number, MAX_NUMBER - 1, whole);
    read_action(rule, &rest, whole);
  }
}

/* The table against the library's own, as far as that knows the call: half of these are newer than it. */
static void check_numbers(uint32_t arch) {
  for (size_t i = 0; i < rule_count; i++) {
    int known = seccomp_syscall_resolve_name_arch(arch, rules[i].name);
    if (known >= 0 && (unsigned)known != rules[i].number) stop("it has another number", rules[i].name);
  }
}

static bool says_no(const struct rule *rule, const unsigned *arguments) {
  if (rule->allow) return false;
  if (rule->has_when && arguments[rule->when_argument] != rule->when_value) return false;
  unsigned masked = arguments[rule->argument] & rule->mask;
  bool holds = rule->test == ALWAYS || (rule->test == BITS && masked != 0);
  for (unsigned i = 0; i < rule->count; i++) holds |= masked == rule->values[i];
  return holds != rule->only;
}

/* ALLOW, or an errno: the first line that says no. */
static int answer_to(unsigned number, const unsigned *arguments) {
  for (size_t i = 0; i < rule_count; i++) {
    if (rules[i].number == number && says_no(&rules[i], arguments)) return rules[i].error;
  }
  return ALLOW;
}

static void add_value(struct cut *cut, unsigned mask, unsigned value, const char *name) {
  if (cut->mask != 0 && cut->mask != mask) stop("two masks for one argument", name);
  cut->mask = mask;
  for (unsigned i = 0; i < cut->count; i++) {
    if (cut->values[i] == value) return;
  }
  if (cut->count == MAX_VALUES) stop("too many values", name);
  cut->values[cut->count++] = value;
}

static bool is_among(const struct cut *cut, unsigned value) {
  for (unsigned i = 0; i < cut->count; i++) {
    if (cut->values[i] == value) return true;
  }
  return false;
}

static void cut_arguments(unsigned number, struct cut *cuts) {
  memset(cuts, 0, ARGUMENTS * sizeof *cuts);
  for (size_t i = 0; i < rule_count; i++) {
    const struct rule *rule = &rules[i];
    if (rule->number != number || rule->allow || rule->test == ALWAYS) continue;
    if (rule->test == BITS) add_value(&cuts[rule->argument], rule->mask, 0, rule->name);
    for (unsigned j = 0; j < rule->count; j++)
      add_value(&cuts[rule->argument], rule->mask, rule->values[j], rule->name);
    if (rule->has_when) add_value(&cuts[rule->when_argument], UINT32_MAX, rule->when_value, rule->name);
  }
  for (struct cut *cut = cuts; cut < cuts + ARGUMENTS; cut++) {
    /* counts through the values that the mask lets through */
    while (is_among(cut, cut->none)) cut->none = ((cut->none | ~cut->mask) + 1) & cut->mask;
  }
}

static void add_rule(unsigned number, int answer, const struct scmp_arg_cmp *cases, unsigned count) {
  char what[32];
  snprintf(what, sizeof what, "call %u", number);
  if (answer == ENOSYS && count > 0) stop("ENOSYS depends on an argument, and is what falls through", what);
  if (answer == ENOSYS) return; /* the library takes no rule that says what it says anyway */
  uint32_t action = answer == ALLOW ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO((uint32_t)answer);
  must(seccomp_rule_add_exact_array(filter, action, (int)number, count, cases), what);
}

static const struct cut *next_cut(const struct cut *cuts, unsigned *argument) {
  while (*argument < ARGUMENTS && cuts[*argument].mask == 0) ++*argument;
  return *argument < ARGUMENTS ? &cuts[*argument] : NULL;
}

static unsigned value_in(const struct cut *cut, unsigned at) {
  return at < cut->count ? cut->values[at] : cut->none;
}

/* Whether the arguments from `argument` on make no difference to what `answer` says. */
static bool is_settled(unsigned number, const struct cut *cuts, unsigned argument, unsigned *arguments, int answer) {
  const struct cut *cut = next_cut(cuts, &argument);
  if (cut == NULL) return answer_to(number, arguments) == answer;
  for (unsigned i = 0; i <= cut->count; i++) {
    arguments[argument] = value_in(cut, i);
    if (!is_settled(number, cuts, argument + 1, arguments, answer)) return false;
  }
  return true;
}

static void add_cases(unsigned number, const struct cut *cuts, unsigned argument, const unsigned *before,
                      struct scmp_arg_cmp *cases, unsigned count) {
  unsigned arguments[ARGUMENTS];
  memcpy(arguments, before, sizeof arguments);
  for (unsigned i = argument; i < ARGUMENTS; i++) arguments[i] = cuts[i].none;
  int answer = answer_to(number, arguments);
  if (is_settled(number, cuts, argument, arguments, answer)) {
    add_rule(number, answer, cases, count);
    return;
  }
  const struct cut *cut = next_cut(cuts, &argument);
  for (unsigned i = 0; i <= cut->count; i++) {
    struct scmp_arg_cmp *one = &cases[count];
    *one = (struct scmp_arg_cmp){.arg = argument, .op = SCMP_CMP_GE, .datum_a = 0};
    if (i < cut->count)
      *one = (struct scmp_arg_cmp){argument, SCMP_CMP_MASKED_EQ, .datum_a = cut->mask, .datum_b = cut->values[i]};
    arguments[argument] = value_in(cut, i);
    add_cases(number, cuts, argument + 1, arguments, cases, count + 1);
  }
}

static void make_filter(void) {
  static bool done[MAX_NUMBER];
  const uint32_t unknown = SCMP_ACT_ERRNO(ENOSYS);
  filter = seccomp_init(unknown);
  if (filter == NULL) stop("no memory", "seccomp_init");
  must(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2), "a binary tree"); /* needs 2.5 */
  must(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, unknown), "foreign architectures");
  for (size_t i = 0; i < rule_count; i++) {
    struct cut cuts[ARGUMENTS];
    struct scmp_arg_cmp cases[ARGUMENTS];
    const unsigned none[ARGUMENTS] = {0};
    if (done[rules[i].number]) continue;
    done[rules[i].number] = true;
    cut_arguments(rules[i].number, cuts);
    add_cases(rules[i].number, cuts, 0, none, cases, 0);
  }
}

static size_t export_filter(struct sock_filter *code) {
  int fd = memfd_create("filter", MFD_CLOEXEC);
  if (fd < 0) stop(strerror(errno), "memfd_create");
  must(seccomp_export_bpf(filter, fd), "the filter cannot be written");
  ssize_t bytes = pread(fd, code, MAX_CODE * sizeof *code, 0);
  close(fd);
  if (bytes <= 0 || (size_t)bytes % sizeof *code != 0) stop("the filter cannot be read", "memfd");
  return (size_t)bytes / sizeof *code;
}

/* The filter was made from bare numbers for the machine that we run on, for the library translates numbers for another
 * one by names, and does not know the newest. The one place where the architecture stands is set here. */
static void set_architecture(struct sock_filter *code, size_t count, uint32_t arch) {
  size_t places = 0;
  for (size_t i = 0; i < count; i++) {
    if (code[i].k != seccomp_arch_native() || BPF_CLASS(code[i].code) != BPF_JMP) continue;
    code[i].k = arch;
    places++;
  }
  if (places != 1) stop("the filter does not ask for the architecture once", "export");
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    uint32_t arch;
  } ARCHES[] = {{"x86_64", AUDIT_ARCH_X86_64}, {"aarch64", AUDIT_ARCH_AARCH64}};
  static struct sock_filter code[MAX_CODE];
  bool second = argc == 2 && strcmp(argv[1], ARCHES[1].name) == 0;
  if (argc != 2 || strcmp(argv[1], ARCHES[second].name) != 0)
    stop("usage", "seccomp-gen x86_64|aarch64 < seccomp.policy");
  read_policy(second);
  check_numbers(ARCHES[second].arch);
  make_filter();
  size_t count = export_filter(code);
  set_architecture(code, count, ARCHES[second].arch);
  const struct scmp_version *version = seccomp_version();
  printf("/* Written by seccomp-gen from seccomp.policy for %s, with libseccomp %u.%u.%u.\n"
         " * Do not edit: `make -C sandbox policy`. */\n",
         ARCHES[second].name, version->major, version->minor, version->micro);
  printf("static const struct sock_filter FILTER[] = {\n");
  for (size_t i = 0; i < count; i++)
    printf("    {0x%02x, %u, %u, 0x%08x},\n", code[i].code, code[i].jt, code[i].jf, code[i].k);
  printf("};\n");
  seccomp_release(filter);
  return 0;
}
