/* Times command lines, from start to end as their caller sees it: small and static, so that a start costs what it costs
 * the kernel and not what it costs a big runtime.
 *
 *   driver ROUNDS DIR < cases
 *
 * A case is a line of words between tabs: a name, the namespaces to start in (files, with commas between, or `-`), then
 * a program by its path and its words. The word `{dir}` stands for a new directory below DIR, with mode 0700, whose
 * making and removal belong to the run; `{name}` for a new name. Instead of a program, `@PATH` is a socket: the words
 * are sent to it as one request (length, then words ended by NUL), and the run ends with the stream.
 *
 * Each round runs every case once, in an order of its own: what one leaves the kernel to do later hits all alike.
 * Prints a line for each run: name, µs. A case that fails is not run again: name, `!`, why. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CASES = 64, MAX_WORDS = 256, MAX_NAMESPACES = 4, MAX_REQUEST = 65536 };

struct one {
  char *name, *words[MAX_WORDS + 1];
  size_t dir, fresh; /* which words are the directory and the name; 0: none */
  int namespaces[MAX_NAMESPACES];
  size_t namespace_count;
  bool failed;
};

static int null; /* stdin and stdout of all programs */
static char *const ENVIRONMENT[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};

static void die(const char *what, const char *name) {
  fprintf(stderr, "driver: %s: %s: %s\n", name, what, strerror(errno));
  exit(1);
}

static uint64_t now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return (uint64_t)at.tv_sec * 1000000u + (uint64_t)at.tv_nsec / 1000u;
}

static void open_namespaces(struct one *one, char *files) {
  if (files == NULL || strcmp(files, "-") == 0) return;
  for (char *file; (file = strsep(&files, ",")) != NULL && one->namespace_count < MAX_NAMESPACES;) {
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die(file, one->name);
    one->namespaces[one->namespace_count++] = fd;
  }
}

static size_t read_cases(struct one *cases) {
  size_t count = 0, room = 0;
  char *line = NULL;
  while (count < MAX_CASES && getline(&line, &room, stdin) > 0) {
    size_t words = 0;
    struct one *one = &cases[count++];
    line[strcspn(line, "\n")] = '\0';
    one->name = strsep(&line, "\t");
    open_namespaces(one, strsep(&line, "\t"));
    for (char *word; words < MAX_WORDS && (word = strsep(&line, "\t")) != NULL; words++) {
      if (strcmp(word, "{dir}") == 0) one->dir = words;
      if (strcmp(word, "{name}") == 0) one->fresh = words;
      one->words[words] = word;
    }
    if (words == 0) {
      errno = EINVAL;
      die("no command", one->name);
    }
    line = NULL; /* the words stay */
    room = 0;
  }
  return count;
}

/* Between vfork and exec, in memory shared with the driver. */
static void become(const struct one *one) {
  for (size_t i = 0; i < one->namespace_count; i++)
    if (setns(one->namespaces[i], 0) != 0) _exit(126);
  if (dup2(null, 0) == 0 && dup2(null, 1) == 1) execve(one->words[0], one->words, ENVIRONMENT);
  _exit(127);
}

static void give_up(struct one *one, const char *why) {
  printf("%s ! %s\n", one->name, why);
  one->failed = true;
}

static void run_program(struct one *one) {
  int status = 0;
  pid_t pid = vfork();
  if (pid == 0) become(one);
  if (pid < 0) die("cannot be started", one->name);
  while (waitpid(pid, &status, 0) != pid) continue;
  char why[64];
  snprintf(why, sizeof why, "it ended with wait status %#x", (unsigned)status);
  if (status != 0) give_up(one, why);
}

static void ask(struct one *one) {
  static char request[MAX_REQUEST], answer[MAX_REQUEST];
  uint32_t length = 0;
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  snprintf(to.sun_path, sizeof to.sun_path, "%s", one->words[0] + 1);
  for (char *const *word = one->words + 1; *word != NULL; word++) {
    size_t bytes = strlen(*word) + 1;
    if (4 + length + bytes > sizeof request) die("the request is too long", one->name);
    memcpy(request + 4 + length, *word, bytes);
    length += (uint32_t)bytes;
  }
  for (unsigned i = 0; i < 4; i++) request[i] = (char)(length >> (8 * i));
  size_t used = 0;
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool asked = fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) == 0 &&
               write(fd, request, 4 + length) == (ssize_t)(4 + length);
  for (ssize_t got; asked && (got = read(fd, answer + used, sizeof answer - 1 - used)) != 0; used += (size_t)got)
    if (got < 0) asked = false, got = 0;
  if (fd >= 0) close(fd);
  if (!asked) {
    give_up(one, "it cannot be asked");
    return;
  }
  answer[used] = '\0';
  if (strstr(answer, "\"event\":\"exit\",\"code\":0,") != NULL) return;
  answer[strcspn(answer, "\n")] = '\0';
  give_up(one, answer);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where) {
  (void)status, (void)type, (void)where;
  return remove(path);
}

static void measure(struct one *one, const char *dir, unsigned long number) {
  char path[512], name[32];
  uint64_t began = now();
  snprintf(name, sizeof name, "run-%d-%lu", getpid(), number);
  snprintf(path, sizeof path, "%s/%s", dir, name);
  if (one->fresh != 0) one->words[one->fresh] = name;
  if (one->dir != 0) one->words[one->dir] = path;
  if (one->dir != 0 && mkdir(path, 0700) != 0) die("cannot make its directory", one->name);
  if (one->words[0][0] == '@')
    ask(one);
  else
    run_program(one);
  if (one->dir != 0 && rmdir(path) != 0 && errno != ENOENT && nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
    die("cannot remove its directory", one->name);
  if (!one->failed) printf("%s %llu\n", one->name, (unsigned long long)(now() - began));
}

/* The same orders each time it is run. */
static void shuffle(size_t *order, size_t count, uint64_t *state) {
  for (size_t i = count; i > 1; i--) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    size_t other = (size_t)(*state >> 33) % i, one = order[i - 1];
    order[i - 1] = order[other];
    order[other] = one;
  }
}

int main(int argc, char **argv) {
  static struct one cases[MAX_CASES];
  size_t order[MAX_CASES];
  if (argc != 3) {
    fprintf(stderr, "usage: driver ROUNDS DIR < cases\n");
    return 2;
  }
  size_t count = read_cases(cases);
  null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) die("cannot be opened", "/dev/null");
  for (size_t i = 0; i < count; i++) order[i] = i;
  uint64_t state = 1;
  for (unsigned long round = 0; round < strtoul(argv[1], NULL, 10); round++) {
    shuffle(order, count, &state);
    for (size_t i = 0; i < count; i++) {
      if (!cases[order[i]].failed) measure(&cases[order[i]], argv[2], round * MAX_CASES + i);
    }
  }
  return 0;
}
