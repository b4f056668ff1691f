/* Which process the kernel chose when memory ran out. Only its log tells:
 *
 *   6,812,4711,-;oom-kill:constraint=…,oom_memcg=/a/toroid-1,task_memcg=/a/toroid-1/sub,task=cc1,pid=77,uid=0
 *
 * The name of a run's cgroup is random and nobody else's, so the whole log may be searched, however old. A process
 * gives itself its name: it may contain anything, the words that we look for among it. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "toroid-sandbox.h"

enum { RECORD_BYTES = 8192, MAX_RECORDS = 1000000 };

static bool is_in_cgroup(const char *path, size_t length, const char *name) {
  size_t wanted = strlen(name);
  for (size_t at = 0; at + wanted <= length; at++) {
    bool starts = at > 0 && path[at - 1] == '/';
    bool ends = at + wanted == length || path[at + wanted] == '/';
    if (starts && ends && strncmp(path + at, name, wanted) == 0) return true;
  }
  return false;
}

/* The kernel writes the name as it is, but for bytes that are no text: only plain ones are passed on. */
static void copy_plain(char *into, size_t room, const char *text, size_t length) {
  size_t used = 0;
  for (size_t i = 0; i < length && used + 1 < room; i++) {
    unsigned char c = (unsigned char)text[i];
    into[used++] = isalnum(c) || strchr(" #+-./:@_", c) != NULL ? (char)c : '?';
  }
  into[used] = '\0';
}

bool culprit_in(const char *record, const char *cgroup, struct culprit *culprit) {
  static const char FIRST[] = ";oom-kill:", PATH[] = ",task_memcg=", NAME[] = ",task=", ID[] = ",pid=";
  const char *first = strstr(record, FIRST);
  const char *path = first == NULL ? NULL : strstr(first, PATH);
  if (path == NULL) return false;
  path += strlen(PATH);
  const char *name = strstr(path, NAME);
  if (name == NULL || !is_in_cgroup(path, (size_t)(name - path), cgroup)) return false;
  name += strlen(NAME);
  const char *end = NULL;
  for (const char *at = name; (at = strstr(at, ID)) != NULL; at++) end = at; /* the last one is the kernel's */
  if (end == NULL) return false;
  copy_plain(culprit->name, sizeof culprit->name, name, (size_t)(end - name));
  return culprit->name[0] != '\0';
}

bool culprit_find(const char *cgroup, struct culprit *culprit) {
  int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (log < 0) return false;
  bool found = false;
  char record[RECORD_BYTES + 1];
  for (int i = 0; i < MAX_RECORDS && !found; i++) {
    ssize_t got = read(log, record, RECORD_BYTES);
    if (got < 0 && (errno == EPIPE || errno == EINVAL || errno == EINTR)) continue; /* overwritten before we read it */
    if (got <= 0) break;
    record[got] = '\0';
    found = culprit_in(record, cgroup, culprit);
  }
  close(log);
  return found;
}
