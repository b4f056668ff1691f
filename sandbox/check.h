/* What a host is tried for: check.c has the table, check-kernel.c and check-host.c the attempts. */
#ifndef TOROID_CHECK_H
#define TOROID_CHECK_H

#include "toroid-sandbox.h"

enum verdict { WORKS, IS_WEAK, LACKS };

struct finding {
  enum verdict verdict;
  char says[480];  /* a sentence, without its full stop */
  const char *how; /* to get it, where it is not what the table says */
};

/* As `run` is going to be started, and what is known of the host so far. */
struct host {
  const char *state, *cgroup;
  bool is_root;
  uint64_t allow_weak, lacks; /* weaknesses: what is allowed, what would have to be */
  struct cgroup tried;        /* with every limit set, as far as that went */
};

struct check {
  const char *id; /* stays what it is: scripts know it */
  void (*look)(struct host *host, const struct check *check, struct finding *finding);
  const char *follows, *how; /* when it does not work */
  int which;                 /* of those that look for several things */
  int for_whom;              /* FOR_ROOT, FOR_USERS */
};
enum { FOR_ROOT = 1, FOR_USERS = 2, FOR_ALL = 3 };

__attribute__((format(printf, 3, 4))) void found(struct finding *finding, enum verdict verdict, const char *format,
                                                 ...);
/* Takes an attempt's failure, or says `works`. */
void found_by(struct finding *finding, const struct failure *failure, enum verdict otherwise, const char *works);
/* What `run` goes on without when that is allowed by name. */
void found_weak(struct host *host, struct finding *finding, unsigned weakness, const char *sentence);

/* Runs `what` in a child; answers as it does. */
int attempt(int (*what)(const void *context, struct failure *failure), const void *context, struct failure *failure);

#define LOOK(name) void look_##name(struct host *host, const struct check *check, struct finding *finding)
LOOK(kernel);
LOOK(namespaces);
LOOK(cgroup_namespace);
LOOK(subordinate_uids);
LOOK(owners);
LOOK(overlay);
LOOK(detached_layers);
LOOK(devices);
LOOK(proc);
LOOK(seccomp);
LOOK(pidfd);
LOOK(empty_network);
LOOK(image_host);
LOOK(cgroup);
LOOK(cgroup_kill);
LOOK(cgroup_enter);
LOOK(limit);
LOOK(project_quota);
LOOK(network_pool);
LOOK(run);

#endif
