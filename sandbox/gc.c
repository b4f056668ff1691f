/* Removes what a dead host left behind. What a living helper holds is locked and is left alone. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "toroid-sandbox.h"

static int fail(const struct failure *failure) {
  char sentence[640];
  failure_sentence(failure, sentence, sizeof sentence);
  complain("%s", sentence);
  return EXIT_OURS;
}

/* What the caller's subordinate uids own is the caller's to remove only where they are mapped. */
static int collect_as_caller(const char *state, struct failure *failure) {
  static struct plan plan;
  return rootless_enter(&plan, failure) == 0 ? scratch_collect(state, failure) : -1;
}

int gc_command(int argc, char **argv) {
  const char *state = NULL, *cgroup = NULL, *net = NULL;
  for (int i = 0; i + 1 < argc; i += 2) {
    if (strcmp(argv[i], "--state") == 0)
      state = argv[i + 1];
    else if (strcmp(argv[i], "--cgroup") == 0)
      cgroup = argv[i + 1];
    else if (strcmp(argv[i], "--net") == 0)
      net = argv[i + 1];
    else
      state = NULL, argc = 0;
  }
  if (argc % 2 != 0 || state == NULL) {
    complain("usage: toroid-sandbox gc --state DIR [--cgroup DIR] [--net DIR]");
    return EXIT_OURS;
  }
  struct failure failure = {0};
  bool rootless = geteuid() != 0;
  if (rootless && net != NULL) {
    complain("gc: --net needs root: the pool of networks is its");
    return EXIT_OURS;
  }
  /* cgroups first: what still runs in them may be writing to the directories */
  int cgroups = rootless && cgroup == NULL ? 0 : cgroup_collect(cgroup, &failure);
  int scratches = rootless ? collect_as_caller(state, &failure) : scratch_collect(state, &failure);
  int network = net == NULL ? 0 : pool_down(net, true, &failure);
  if (cgroups < 0 || scratches < 0 || network < 0) return fail(&failure);
  printf("{\"cgroups\":%d,\"scratches\":%d", cgroups, scratches);
  if (net != NULL) printf(",\"network\":%d", network);
  puts("}");
  return 0;
}
