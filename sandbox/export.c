/* `export`: what a run wrote into a scratch that was kept, as a layer for `unpack --layer`. */
#include <linux/capability.h>
#include <linux/openat2.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disk.h"
#include "toroid-archive.h"

#define STEP "export"
#define BIT(capability) (1ull << (capability))

/* To read files of any owner and mode. Overlay's attributes want SYS_ADMIN, of which confine.c leaves just that. */
static const uint64_t TO_READ = BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_SYS_ADMIN);

int export_scratch(struct export_plan *plan, const char *path, int stream, int cancel, struct export_report *report,
                   struct failure *failure) {
  struct plan run = {.scratch = path};
  struct scratch scratch = {0};
  if (scratch_open(&scratch, &run, failure) != 0) return -1;
  errno = 0;
  if (!scratch.reused) return failed(failure, STEP, "no run has left anything in %s", path);
  int upper = sys_openat2(scratch.disk, "upper", O_RDONLY | O_DIRECTORY,
                          RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
  if (upper < 0) return failed(failure, STEP, "cannot open %s/upper", path);
  plan->uid_base = run.uid_base;
  const struct job job = {
      .step = STEP,
      .root = upper,
      .stream = stream,
      .capabilities = TO_READ,
      .cancel = cancel,
      .work = export_tree,
      .plan = plan,
      .result = report,
      .result_bytes = sizeof *report,
  };
  int result = job_run(&job, failure);
  close(upper);
  disk_close(&scratch);
  close(scratch.lock_fd); /* not before: a run would change what is read */
  close(scratch.fd);
  close(scratch.parent_fd);
  return result;
}

static int usage(void) {
  complain("usage: toroid-sandbox export --scratch DIR [--max-bytes N] [--max-files N] > TAR");
  return -1;
}

void print_export_options(void) {
  puts("  --scratch DIR               as kept by run --keep-scratch\n"
       "  --max-bytes N               of the archive (default 68719476736)\n"
       "  --max-files N               files, links and directories (default 4000000)");
}

static int parse(int argc, char **argv, struct export_plan *plan, const char **scratch) {
  for (int i = 0; i < argc; i += 2) {
    if (i + 1 == argc) return usage();
    if (strcmp(argv[i], "--scratch") == 0)
      *scratch = argv[i + 1];
    else if (!take_cap(argv[i], argv[i + 1], &plan->max_bytes, &plan->max_files))
      return usage();
  }
  if (*scratch == NULL) return usage();
  if ((*scratch)[0] == '/' && (*scratch)[1] != '\0') return 0;
  complain("--scratch wants an absolute path, not `%.200s`", *scratch);
  return -1;
}

int export_command(int argc, char **argv) {
  struct export_plan plan = {.max_bytes = DEFAULT_ARCHIVE_BYTES, .max_files = DEFAULT_ARCHIVE_FILES};
  struct export_report report = {0};
  struct failure failure = {0};
  const char *scratch = NULL;
  if (parse(argc, argv, &plan, &scratch) != 0) return EXIT_OURS;
  if (geteuid() != 0) {
    complain("%s: toroid-sandbox has to be started by root", STEP);
    return EXIT_OURS;
  }
  int cancel = watch_for_cancel(STEP, &failure);
  if (cancel < 0 || export_scratch(&plan, scratch, STDOUT_FILENO, cancel, &report, &failure) != 0)
    return say_failure(&failure);
  if (report.devices + report.sockets + report.names > 0)
    complain("export: left out what a layer cannot hold: %llu devices, %llu sockets, %llu names that begin with .wh.",
             (unsigned long long)report.devices, (unsigned long long)report.sockets, (unsigned long long)report.names);
  return 0;
}
