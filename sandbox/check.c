/* What this host lacks, found by doing it: a real run of nothing in every wall, and a real cgroup. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toroid-sandbox.h"

enum { MAX_SENTENCES = 16 };

/* As `run` gets them. */
struct settings {
  const char *state, *cgroup;
  uint64_t allow_weak;
};

struct findings {
  size_t count;
  bool essential; /* `run` will not work */
  bool works;     /* but for what would have to be allowed: */
  uint64_t lacks;
  struct {
    bool essential;
    char text[900];
  } at[MAX_SENTENCES];
};

__attribute__((format(printf, 3, 4))) static void found(struct findings *findings, bool essential, const char *format,
                                                        ...) {
  if (findings->count == MAX_SENTENCES) return;
  va_list rest;
  va_start(rest, format);
  vsnprintf(findings->at[findings->count].text, sizeof findings->at[0].text, format, rest);
  va_end(rest);
  findings->at[findings->count++].essential = essential;
  findings->essential |= essential;
}

static void check_kernel(struct findings *findings) {
  struct utsname name;
  unsigned major = 0, minor = 0;
  if (uname(&name) != 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2) return;
  if (major > 6 || (major == 6 && minor >= 1)) return;
  found(findings, false, "The kernel is %s; toroid-sandbox is tried on 6.1 and newer.", name.release);
}

/* What a run goes on without when that is allowed. */
static void found_weak(struct findings *findings, uint64_t allowed, unsigned weakness, const char *sentence) {
  struct weak_name name;
  bool lacks = (allowed & WEAK_BIT(weakness)) == 0;
  weak_name(weakness, &name);
  found(findings, lacks, lacks ? "%s To go on without: --allow-weak %s." : "%s Allowed: %s.", sentence, name.text);
  if (lacks) findings->lacks |= WEAK_BIT(weakness);
}

static void check_cgroup(struct findings *findings, const struct settings *settings) {
  struct plan plan = {.cgroup = settings->cgroup,
                      .memory_bytes = 1 << 30,
                      .pids = 1000,
                      .cpu_milli = 1000,
                      .cpu_weight = 100,
                      .io_read_bps = 1ull << 40,
                      .io_write_iops = 1 << 20};
  struct stat dir = {0};
  struct cgroup cgroup;
  struct failure failure = {0};
  char sentence[640];
  if (stat(settings->state, &dir) != 0) dir.st_dev = 0; /* which check_run tells */
  if (cgroup_create(&cgroup, &plan, dir.st_dev, &failure) != 0) {
    failure_sentence(&failure, sentence, sizeof sentence);
    found(findings, true, "The cgroup directory that was given cannot be used: %s.", sentence);
    return;
  }
  if (cgroup.fd < 0) {
    snprintf(sentence, sizeof sentence, "There is no cgroup for a run: %s. It is ended by its pid namespace alone.",
             cgroup.why_none);
    found_weak(findings, settings->allow_weak, WEAK_NO_CGROUP, sentence);
  }
  for (unsigned i = 0; i < LIMIT_COUNT; i++) {
    if (cgroup.limit[i][0] != 'u') continue;
    snprintf(sentence, sizeof sentence, "A limit is %s.", cgroup.limit[i]);
    /* shares and disk traffic are for few, who are told by their run */
    if (i == LIMIT_MEMORY || i == LIMIT_PIDS || i == LIMIT_CPU)
      found_weak(findings, settings->allow_weak, WEAK_LIMIT + i, sentence);
    else
      found(findings, false, "%s", sentence);
  }
  if (cgroup_remove(&cgroup) != 0)
    found(findings, true, "A cgroup that was made cannot be removed: %s.", strerror(errno));
}

/* By the step that failed, what it most often means. */
static const char *hint_for(const char *sentence) {
  static const struct {
    const char *step, *hint;
  } HINTS[] = {
      {"privilege:", "Start it as root."},
      {"clone:",
       "User namespaces may be switched off (user.max_user_namespaces) or forbidden by the container around us."},
      {"image:", "Overlay with mapped owners needs Linux 5.19 and a root file system such as ext4, xfs or btrfs, not "
                 "another overlay."},
      {"bind:", "Mapped owners need a file system such as ext4, xfs or btrfs."},
      {"dev:", "Making device nodes needs CAP_MKNOD and no device policy around us."},
      {"proc:", "A part of /proc may be covered, as in a container; a new /proc is then refused."},
      {"seccomp:", "The kernel needs CONFIG_SECCOMP_FILTER."},
      {"scratch:", "The directory for scratch files must be on a local file system that root may write."},
  };
  for (size_t i = 0; i < sizeof HINTS / sizeof HINTS[0]; i++) {
    if (strncmp(sentence, HINTS[i].step, strlen(HINTS[i].step)) == 0) return HINTS[i].hint;
  }
  return "";
}

/* The last line that a run of `true` says on stderr; empty when it went well. */
static int try_run(const char *scratch, const struct settings *settings, uint64_t allow, char *line, size_t room) {
  const char *argv[16 + 2 * WEAK_COUNT] = {"toroid-sandbox", "run",   "--image",   "host",
                                           "--scratch",      scratch, "--wall-ms", "30000"};
  struct weak_name names[WEAK_COUNT];
  size_t count = 8;
  if (settings->cgroup != NULL) argv[count++] = "--cgroup", argv[count++] = settings->cgroup;
  for (unsigned one = WEAK_FIRST; one < WEAK_COUNT; one++) {
    if ((allow & WEAK_BIT(one)) == 0) continue;
    weak_name(one, &names[one]);
    argv[count++] = "--allow-weak", argv[count++] = names[one].text;
  }
  argv[count++] = "--", argv[count++] = "true";
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    dup2(pipe_fds[1], 2);
    execv("/proc/self/exe", (char *const *)argv);
    _exit(EXIT_OURS);
  }
  close(pipe_fds[1]);
  size_t used = 0;
  for (ssize_t got; used < room - 1 && (got = read(pipe_fds[0], line + used, room - 1 - used)) > 0;)
    used += (size_t)got;
  close(pipe_fds[0]);
  line[used] = '\0';
  line[strcspn(line, "\n")] = '\0';
  int status = -1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

static void check_run(struct findings *findings, const struct settings *settings) {
  char scratch[4096], line[700] = "";
  snprintf(scratch, sizeof scratch, "%s/toroid-check-XXXXXX", settings->state);
  if (mkdtemp(scratch) == NULL) {
    found(findings, true, "No directory can be made in %s: %s.", settings->state, strerror(errno));
    return;
  }
  /* what is known to lack is said already */
  int status = try_run(scratch, settings, settings->allow_weak | findings->lacks, line, sizeof line);
  (void)tree_remove(AT_FDCWD, scratch); /* it removes itself unless it failed early */
  findings->works = status == 0;
  if (findings->works) return;
  const char *prefix = "toroid-sandbox: ", *sentence = line;
  if (strncmp(line, prefix, strlen(prefix)) == 0) sentence += strlen(prefix);
  if (sentence[0] == '\0') sentence = "it said nothing";
  found(findings, true, "A run of `true` on the host's own root failed: %s. %s", sentence, hint_for(sentence));
}

static void print_json(const struct findings *findings) {
  struct json json;
  json_begin(&json);
  json_raw(&json, "ok", findings->essential ? "false" : "true");
  for (int essential = 1; essential >= 0; essential--) {
    json_list(&json, essential ? "lacks" : "weak");
    for (size_t i = 0; i < findings->count; i++) {
      if (findings->at[i].essential == (essential == 1)) json_string(&json, NULL, findings->at[i].text);
    }
    json_list_end(&json);
  }
  json_weak(&json, "allow", findings->lacks);
  json_send(&json, STDOUT_FILENO);
}

static void print_text(const struct findings *findings) {
  for (size_t i = 0; i < findings->count; i++)
    printf("%s %s\n", findings->at[i].essential ? "LACKS" : "weak ", findings->at[i].text);
  if (!findings->essential)
    puts("toroid-sandbox run works here.");
  else
    puts(findings->works ? "toroid-sandbox run works here only with these limits left out or allowed to lack."
                         : "toroid-sandbox run will not work here.");
}

int check_command(int argc, char **argv) {
  struct settings settings = {.state = "/var/tmp"};
  struct sentence why = {"usage: toroid-sandbox check [--json] [--state DIR] [--cgroup DIR] [--allow-weak NAME]..."};
  bool json = false;
  for (int i = 0; i < argc; i++) {
    if (strcmp(argv[i], "--json") == 0)
      json = true;
    else if (strcmp(argv[i], "--state") == 0 && i + 1 < argc)
      settings.state = argv[++i];
    else if (strcmp(argv[i], "--cgroup") == 0 && i + 1 < argc)
      settings.cgroup = argv[++i];
    else if (strcmp(argv[i], "--allow-weak") != 0 || i + 1 == argc ||
             weak_allow(&settings.allow_weak, argv[++i], &why) != 0) {
      complain("%s", why.text);
      return EXIT_OURS;
    }
  }
  static struct findings findings;
  check_kernel(&findings);
  check_cgroup(&findings, &settings);
  check_run(&findings, &settings);
  if (json)
    print_json(&findings);
  else
    print_text(&findings);
  return findings.essential ? 1 : 0;
}
