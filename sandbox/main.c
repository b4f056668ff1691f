/* The command table. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "toroid-archive.h"

size_t command_line_bytes(int argc, char **argv) {
  size_t bytes = 0;
  for (int i = -2; i < argc; i++) bytes += strlen(argv[i]) + 1;
  for (char **entry = environ; *entry != NULL; entry++) {
    if (*entry == argv[-2] + bytes) bytes += strlen(*entry) + 1;
  }
  return bytes;
}

static int run_main(int argc, char **argv) {
  static struct plan plan;
  struct sentence why = {""};
  struct list words = {0};
  /* The words are copied, so that pid 1 can wipe the originals, which all inside may read in /proc/1/cmdline. The
   * environment lies right behind them and is wiped with them. */
  plan.command_line = argv[-2];
  plan.command_line_bytes = command_line_bytes(argc, argv);
  for (int i = 0; i < argc; i++) {
    if (list_add(&words, strdup(argv[i])) != 0) return EXIT_OURS;
  }
  if (parse_run(&plan, &words, &why) == 0) return run_command(&plan, -1);
  complain("%s", why.text);
  refuse_run(&plan, &why);
  return EXIT_OURS;
}

static int help(int argc, char **argv) {
  (void)argc, (void)argv;
  puts(
      "toroid-sandbox runs one command inside walls and says how it ended.\n\n"
      "  toroid-sandbox run [options] -- CMD [ARG...]\n"
      "  toroid-sandbox serve [options]                  do that for a caller without privilege, who asks at a socket\n"
      "  toroid-sandbox check [--json]                   what this host lacks, found by trying\n"
      "  toroid-sandbox gc --state DIR [--cgroup DIR] [--net DIR]    remove what a dead host left\n"
      "  toroid-sandbox net up --state DIR --slots N [options]       make network namespaces DIR/0, DIR/1, ...\n"
      "  toroid-sandbox net down --state DIR             remove them and all that belongs to them\n"
      "  toroid-sandbox net check [--json]               what this host lacks for them, found by trying\n"
      "  toroid-sandbox unpack --into DIR [options] < TAR    an archive of a root file system, or a layer of one\n"
      "  toroid-sandbox --help | --version\n\n"
      "options of run:");
  print_run_options();
  puts("\noptions of serve:");
  print_serve_options();
  puts("\noptions of net up:");
  print_net_options();
  puts("\noptions of unpack:");
  print_archive_options();
  puts("\nexit: the command's code, 128+signal, 124 out of time, 125 ours, 126 not executable, 127 not found.");
  return 0;
}

static int version(int argc, char **argv) {
  (void)argc, (void)argv;
  puts("toroid-sandbox " TOROID_VERSION);
  return 0;
}

static const struct {
  const char *name;
  int (*main)(int argc, char **argv);
} COMMANDS[] = {
    {"run", run_main},  {"serve", serve_command}, {"check", check_command},
    {"gc", gc_command}, {"net", net_command},     {"unpack", unpack_command},
    {"--help", help},   {"-h", help},             {"--version", version},
};

int main(int argc, char **argv) {
  for (size_t i = 0; argc > 1 && i < sizeof COMMANDS / sizeof COMMANDS[0]; i++) {
    if (strcmp(COMMANDS[i].name, argv[1]) == 0) return COMMANDS[i].main(argc - 2, argv + 2);
  }
  complain("%s; see toroid-sandbox --help", argc > 1 ? "there is no such command" : "a command is missing");
  return EXIT_OURS;
}
