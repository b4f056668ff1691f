/* `unpack`: an archive of a root file system into an empty directory, all of it or nothing. */
#include <linux/capability.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "toroid-archive.h"

#define STEP "unpack"
#define BIT(capability) (1ull << (capability))

/* To make files of any owner. Overlay's mark of an opaque directory wants SYS_ADMIN, of which the list of system calls
 * in confine.c leaves just that. A whiteout is no device to the kernel and wants nothing. */
static const uint64_t FOR_FILES =
    BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_SETFCAP);

static bool is_dots(const char *name) {
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* 1 when nothing is in it, 0, or -1. With `remove`, everything goes first. */
static int is_empty(int dir, bool remove) {
  int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *entries = again < 0 ? NULL : fdopendir(again);
  if (entries == NULL) {
    if (again >= 0) close(again);
    return -1;
  }
  int empty = 1;
  for (struct dirent *entry; empty == 1 && (entry = readdir(entries)) != NULL;) {
    if (is_dots(entry->d_name)) continue;
    empty = remove ? 1 : 0;
    if (remove && tree_remove(dir, entry->d_name) != 0) empty = -1;
  }
  closedir(entries);
  return empty;
}

/* As it was given to us, apart from its time. */
static int take_back(int into, const struct stat *was) {
  char names[4096];
  int result = is_empty(into, true) == 1 ? 0 : -1;
  ssize_t used = flistxattr(into, names, sizeof names);
  for (ssize_t at = 0; at < used; at += (ssize_t)strlen(names + at) + 1) {
    if (strncmp(names + at, "user.", 5) == 0 && fremovexattr(into, names + at) != 0) result = -1;
  }
  if (fchown(into, was->st_uid, was->st_gid) != 0 || fchmod(into, was->st_mode & 07777) != 0) result = -1;
  return result;
}

int unpack(const struct unpack_plan *plan, int into, int stream, int cancel, struct unpack_report *report,
           struct failure *failure) {
  struct stat was;
  if (fstat(into, &was) != 0 || flock(into, LOCK_EX | LOCK_NB) != 0)
    return failed(failure, STEP, "cannot have the directory for ourselves");
  int empty = is_empty(into, false);
  if (empty < 0) return failed(failure, STEP, "cannot read the directory");
  errno = 0;
  if (empty == 0) return failed(failure, STEP, "the directory is not empty");
  const struct job job = {
      .step = STEP,
      .root = into,
      .stream = stream,
      .capabilities = FOR_FILES | (plan->is_layer && !plan->rootless ? BIT(CAP_SYS_ADMIN) : 0),
      .cancel = cancel,
      .work = unpack_tree,
      .plan = plan,
      .result = report,
      .result_bytes = sizeof *report,
  };
  if (job_run(&job, failure) == 0) return 0;
  if (take_back(into, &was) != 0) complain("what was unpacked cannot be removed: %s", strerror(errno));
  return -1;
}

static int unpack_into(const struct unpack_plan *plan, const char *path, struct unpack_report *report,
                       struct failure *failure) {
  int cancel = watch_for_cancel(STEP, failure);
  if (cancel < 0) return -1;
  int into = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (into < 0) return failed(failure, STEP, "cannot open %.200s", path);
  int result = unpack(plan, into, STDIN_FILENO, cancel, report, failure);
  close(into);
  return result;
}

static int usage(void) {
  complain("usage: toroid-sandbox unpack --into DIR [--layer] [--max-bytes N] [--max-files N] < ARCHIVE");
  return -1;
}

void print_archive_options(void) {
  puts("  --into DIR                  an empty directory, which is empty again when it fails\n"
       "  --layer                     a layer of an OCI image: names that begin with .wh. remove what is below\n"
       "  --max-bytes N               on the disk (default 68719476736)\n"
       "  --max-files N               files, links and directories (default 4000000)");
}

static int parse(int argc, char **argv, struct unpack_plan *plan, const char **into) {
  for (int i = 0; i < argc; i++) {
    if (strcmp(argv[i], "--layer") == 0) {
      plan->is_layer = true;
      continue;
    }
    const char *name = argv[i], *value = i + 1 < argc ? argv[++i] : NULL;
    if (value == NULL) return usage();
    if (strcmp(name, "--into") == 0)
      *into = value;
    else if (!take_cap(name, value, &plan->max_bytes, &plan->max_files))
      return usage();
  }
  return *into == NULL ? usage() : 0;
}

void json_unpacked(struct json *json, const struct unpack_report *report) {
  json_number(json, "files", report->files);
  json_number(json, "bytes", report->bytes);
  json_number(json, "devicesLeftOut", report->devices_left_out);
  json_number(json, "ownersToNobody", report->owners_to_nobody);
}

/* A user's archive has the owners that the user's runs have. */
static int enter(struct unpack_plan *plan, struct failure *failure) {
  static struct plan run;
  if (geteuid() == 0) return 0;
  if (rootless_enter(&run, failure) != 0) return -1;
  plan->rootless = true;
  plan->uid_count = run.uid_count;
  return 0;
}

int unpack_command(int argc, char **argv) {
  struct unpack_plan plan = {.max_bytes = DEFAULT_ARCHIVE_BYTES, .max_files = DEFAULT_ARCHIVE_FILES};
  struct unpack_report report = {0};
  struct failure failure = {0};
  const char *into = NULL;
  if (parse(argc, argv, &plan, &into) != 0) return EXIT_OURS;
  if (enter(&plan, &failure) != 0 || unpack_into(&plan, into, &report, &failure) != 0) return say_failure(&failure);
  struct json json;
  json_begin(&json);
  json_unpacked(&json, &report);
  json_send(&json, STDOUT_FILENO);
  return 0;
}
