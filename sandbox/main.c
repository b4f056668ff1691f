/* The command table. */
#include <signal.h>
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

static int help(int argc, char **argv);

static int version(int argc, char **argv) {
  (void)argc, (void)argv;
  puts("toroid-sandbox " TOROID_VERSION);
  return 0;
}

#define STATE_AND_CGROUP                                                                                               \
  "  --state DIR                 where scratches are made (default /var/tmp)\n"                                        \
  "  --cgroup DIR                as for run\n"

/* By the words that start them; a command of two words gets the second one as its first. */
static const struct command {
  const char *name, *usage, *about, *options;
  int (*main)(int argc, char **argv);
  void (*print_options)(void); /* those too many for `options` */
} COMMANDS[] = {
    {"run", "[options] -- CMD [ARG...]", "one command inside walls; says how it ended", "", run_main,
     print_run_options},
    {"serve", "--socket PATH --client-uid UID --state DIR --slots N [options]",
     "do that for a caller without privilege, who asks at a socket", "", serve_command, print_serve_options},
    {"check", "[--json] [--state DIR] [--cgroup DIR] [--allow-weak NAME]...", "what this host lacks, found by trying",
     "  --json                      one object\n" STATE_AND_CGROUP
     "  --allow-weak NAME           what it may lack, as for run; repeatable\n",
     check_command, NULL},
    {"gc", "--state DIR [--cgroup DIR] [--net DIR]", "remove what a dead host left",
     "  --state DIR                 where scratches of dead runs are\n"
     "  --cgroup DIR                where their cgroups are, as for run\n"
     "  --net DIR                   the pool of networks there as well, unless a run is in it\n",
     gc_command, NULL},
    {"net up", "--state DIR --slots N [options]", "make network namespaces DIR/0, DIR/1, ...", "", net_command,
     print_net_options},
    {"net down", "--state DIR", "remove them and all that belongs to them",
     "  --state DIR                 that of net up\n", net_command, NULL},
    {"net check", "[--json] [--forward]", "what this host lacks for them, found by trying",
     "  --json                      one object\n"
     "  --forward                   as if net up were given it\n",
     net_command, NULL},
    {"unpack", "--into DIR [options] < TAR", "an archive of a root file system, or a layer of one", "", unpack_command,
     print_archive_options},
    {"export", "--scratch DIR [options] > TAR", "what a run wrote into a scratch that was kept, as a layer", "",
     export_command, print_export_options},
    {"--help", "", "this; behind a command, its options", "", help, NULL},
    {"--version", "", "its version", "", version, NULL},
};
enum { COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0] };

static void print_command(const struct command *command) {
  char left[96];
  snprintf(left, sizeof left, "%s %s", command->name, command->usage);
  printf("  toroid-sandbox %s\n      %s\n", left, command->about);
  if (command->options[0] != '\0') printf("\n%s", command->options);
  if (command->print_options == NULL) return;
  puts("");
  command->print_options();
}

static const char EXIT_CODES[] =
    "exit: the command's code, 128+signal, 124 out of time, 125 ours, 126 not executable, 127 not found.";

static int help(int argc, char **argv) {
  (void)argc, (void)argv;
  puts("toroid-sandbox runs one command inside walls and says how it ended.\n");
  for (size_t i = 0; i < COMMAND_COUNT; i++) printf("  %-10s %s\n", COMMANDS[i].name, COMMANDS[i].about);
  puts("\ntoroid-sandbox COMMAND --help has the options; toroid-sandbox(1) says more.\n");
  puts(EXIT_CODES);
  return 0;
}

/* Behind the words of `name` with nothing else to come. */
static bool asks_for_help(int argc, char **argv, int words) {
  return argc == words + 2 && strcmp(argv[words + 1], "--help") == 0;
}

/* How many words of the command line are this command's name: all of it, or of two the first alone; 0 when it is
 * another's. */
static int words_of(const struct command *command, int argc, char **argv) {
  size_t length = strcspn(command->name, " ");
  if (argc < 2 || strlen(argv[1]) != length || strncmp(command->name, argv[1], length) != 0) return 0;
  if (command->name[length] == '\0') return 1;
  return argc > 2 && strcmp(command->name + length + 1, argv[2]) == 0 ? 2 : 1;
}

/* What our caller ignores (nohup, a shell's background) is not for a build to ignore. */
static void reset_signals(void) {
  for (int number = 1; number <= SIGRTMAX; number++) (void)signal(number, SIG_DFL);
}

int main(int argc, char **argv) {
  const struct command *closest = NULL;
  int most = 0;
  reset_signals();
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    int words = words_of(&COMMANDS[i], argc, argv);
    if (words == 1 && asks_for_help(argc, argv, 1)) print_command(&COMMANDS[i]);
    if (words > most) closest = &COMMANDS[i], most = words;
  }
  if (closest == NULL) {
    complain("%s; see toroid-sandbox --help", argc > 1 ? "there is no such command" : "a command is missing");
    return EXIT_OURS;
  }
  if (most == 2 && asks_for_help(argc, argv, 2)) print_command(closest);
  if (asks_for_help(argc, argv, most)) return 0;
  return closest->main(argc - 2, argv + 2);
}
