/* What a run may be weaker in than it should be. What the caller chose is only told; what this host cannot hold ends
 * the run before anything foreign has begun, unless the caller allowed that by name. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "toroid-sandbox.h"

// clang-format off
static const struct {
  const char *name;
  bool chosen; /* by an option of its own, or by who the caller is: it needs no leave */
} WEAKNESSES[WEAK_LIMIT] = {
    [WEAK_NETWORK_HOST] = {"network-host", true},
    [WEAK_IMAGE_HOST] = {"image-host", true},
    [WEAK_SUID] = {"suid", true},
    [WEAK_ROOTLESS] = {"rootless", true},
    [WEAK_SINGLE_UID] = {"single-uid", false},
    [WEAK_NO_CGROUP] = {"no-cgroup", false},
    [WEAK_NO_CGROUP_NAMESPACE] = {"no-cgroup-namespace", false},
};
// clang-format on

void weak_name(unsigned weakness, struct weak_name *into) {
  if (weakness < WEAK_LIMIT)
    snprintf(into->text, sizeof into->text, "%s", WEAKNESSES[weakness].name);
  else
    snprintf(into->text, sizeof into->text, "no-limit-%s", limit_name((int)(weakness - WEAK_LIMIT)));
}

static void all_names(char *into, size_t room) {
  struct weak_name name;
  size_t used = 0;
  for (unsigned one = WEAK_FIRST; one < WEAK_COUNT && used < room; one++) {
    weak_name(one, &name);
    used += (size_t)snprintf(into + used, room - used, "%s%s", one == WEAK_FIRST ? "" : ", ", name.text);
  }
}

void json_weak(struct json *json, const char *key, uint64_t weak) {
  struct weak_name name;
  json_list(json, key);
  for (unsigned one = WEAK_FIRST; one < WEAK_COUNT; one++) {
    if ((weak & WEAK_BIT(one)) == 0) continue;
    weak_name(one, &name);
    json_string(json, NULL, name.text);
  }
  json_list_end(json);
}

int weak_allow(uint64_t *set, const char *name, struct sentence *why) {
  struct weak_name known;
  for (unsigned one = WEAK_FIRST; one < WEAK_COUNT; one++) {
    weak_name(one, &known);
    if (strcmp(known.text, name) != 0) continue;
    *set |= WEAK_BIT(one);
    return 0;
  }
  char names[400];
  all_names(names, sizeof names);
  snprintf(why->text, sizeof why->text, "--allow-weak knows no `%.60s`, but %s", name, names);
  return -1;
}

uint64_t weak_of(const struct plan *plan, const struct cgroup *cgroup) {
  uint64_t weak = 0;
  if (plan->network == NETWORK_HOST) weak |= WEAK_BIT(WEAK_NETWORK_HOST);
  if (plan->image_is_host) weak |= WEAK_BIT(WEAK_IMAGE_HOST);
  if (plan->allow_suid) weak |= WEAK_BIT(WEAK_SUID);
  if (plan->rootless) weak |= WEAK_BIT(WEAK_ROOTLESS);
  if (plan->uid_count == 1) weak |= WEAK_BIT(WEAK_SINGLE_UID);
  if (cgroup->fd < 0) weak |= WEAK_BIT(WEAK_NO_CGROUP);
  for (unsigned i = 0; i < LIMIT_COUNT; i++) {
    if (cgroup->limit[i][0] == 'u') weak |= WEAK_BIT(WEAK_LIMIT + i);
  }
  return weak;
}

uint64_t weak_without_leave(uint64_t weak, const struct plan *plan) {
  uint64_t lacks = weak & ~plan->allow_weak;
  for (unsigned one = WEAK_FIRST; one < WEAK_LIMIT; one++) {
    if (WEAKNESSES[one].chosen) lacks &= ~WEAK_BIT(one);
  }
  return lacks;
}

/* Why, in the words of who noticed. */
static const char *reason_for(unsigned weakness, const struct plan *plan, const struct cgroup *cgroup) {
  if (weakness == WEAK_SINGLE_UID) return plan->why_single;
  return weakness < WEAK_LIMIT ? cgroup->why_none : cgroup->limit[weakness - WEAK_LIMIT] + strlen(UNSUPPORTED);
}

int weak_refuse(uint64_t lacks, const struct plan *plan, const struct cgroup *cgroup, struct failure *failure) {
  char options[200] = "";
  const char *reason = NULL;
  struct weak_name name;
  size_t used = 0;
  for (unsigned one = WEAK_FIRST; one < WEAK_COUNT && used < sizeof options; one++) {
    if ((lacks & WEAK_BIT(one)) == 0) continue;
    if (reason == NULL) reason = reason_for(one, plan, cgroup);
    weak_name(one, &name);
    used += (size_t)snprintf(options + used, sizeof options - used, " --allow-weak %s", name.text);
  }
  errno = 0;
  return failed(failure, "weak", "%.200s; mend that, or go on without by%s", reason == NULL ? "" : reason, options);
}

void weak_hint(unsigned weakness, struct failure *failure) {
  struct weak_name name;
  size_t used = strlen(failure->text);
  weak_name(weakness, &name);
  snprintf(failure->text + used, sizeof failure->text - used, "; to go on without: --allow-weak %s", name.text);
}
