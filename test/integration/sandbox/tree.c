/* Tells a tree exactly, one line an entry, and makes what a shell cannot: for the tests of unpack and export. Static,
 * so that it runs inside any image.
 *
 *   tree list DIR              type, mode, owner, size, time, target, attributes, digest and links of all below DIR,
 *                              apart from what is in mounts there
 *   tree whiteouts DIR         the marks of overlay below DIR: removed NAME, opaque NAME
 *   tree capable FILE          gives FILE a capability
 *   tree attribute FILE NAME VALUE
 *   tree socket FILE
 *   tree deep DIR COUNT        COUNT directories in one another below DIR, further down than a path can tell */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static const unsigned char CAPABILITY[20] = {1, 0, 0, 2, 0, 32}; /* version 2, effective, CAP_NET_RAW */

static struct seen {
  ino_t inode;
  char *path;
} * seen;
static size_t seen_count;
static dev_t device;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void say(const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)bytes[i];
    printf(byte > 0x20 && byte < 0x7f && byte != '\\' ? "%c" : "\\x%02x", byte);
  }
}

static const char *first_of(const struct stat *is, const char *path) {
  for (size_t i = 0; i < seen_count; i++) {
    if (seen[i].inode == is->st_ino) return seen[i].path;
  }
  seen = realloc(seen, (seen_count + 1) * sizeof *seen);
  seen[seen_count++] = (struct seen){is->st_ino, strdup(path)};
  return path;
}

static uint64_t digest(const char *path) {
  static unsigned char bytes[1 << 16];
  uint64_t hash = 0xcbf29ce484222325u;
  int fd = open(path, O_RDONLY | O_NOFOLLOW);
  if (fd < 0) die(path);
  for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;) {
    for (ssize_t i = 0; i < got; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
  }
  close(fd);
  return hash;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void attributes(const char *path) {
  char names[65536], value[65536], *sorted[64];
  size_t count = 0;
  ssize_t used = llistxattr(path, names, sizeof names);
  for (ssize_t at = 0; at < used; at += (ssize_t)strlen(names + at) + 1) {
    if (strncmp(names + at, "user.", 5) == 0 || strcmp(names + at, "security.capability") == 0)
      sorted[count++] = names + at;
  }
  qsort(sorted, count, sizeof *sorted, by_name);
  for (size_t i = 0; i < count; i++) {
    ssize_t length = lgetxattr(path, sorted[i], value, sizeof value);
    printf(" %s=", sorted[i]);
    say(value, length < 0 ? 0 : (size_t)length);
  }
}

static void list(const char *path) {
  struct stat is;
  char target[4096];
  if (lstat(path, &is) != 0) die(path);
  say(path, strlen(path));
  printf(" %o %u:%u %lld.%09ld", is.st_mode, is.st_uid, is.st_gid, (long long)is.st_mtim.tv_sec, is.st_mtim.tv_nsec);
  if (S_ISCHR(is.st_mode) || S_ISBLK(is.st_mode)) printf(" device=%u:%u", major(is.st_rdev), minor(is.st_rdev));
  if (S_ISREG(is.st_mode)) printf(" size=%lld digest=%016llx", (long long)is.st_size, (unsigned long long)digest(path));
  if (S_ISLNK(is.st_mode)) {
    ssize_t length = readlink(path, target, sizeof target);
    printf(" ->");
    say(target, length < 0 ? 0 : (size_t)length);
  }
  const char *first = S_ISDIR(is.st_mode) || is.st_nlink < 2 ? path : first_of(&is, path);
  if (first != path) {
    printf(" is=");
    say(first, strlen(first));
  }
  attributes(path);
  putchar('\n');
}

static void marks(const char *path) {
  struct stat is;
  char value[8];
  if (lstat(path, &is) != 0) die(path);
  if (S_ISCHR(is.st_mode) && is.st_rdev == 0) printf("removed %s\n", path);
  if (lgetxattr(path, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y') printf("opaque %s\n", path);
}

static void walk(const char *path, void (*tell)(const char *path)) {
  DIR *entries = opendir(path);
  char **names = NULL, inner[8192];
  size_t count = 0;
  if (entries == NULL) die(path);
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    names = realloc(names, (count + 1) * sizeof *names);
    names[count++] = strdup(entry->d_name);
  }
  closedir(entries);
  qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++) {
    struct stat is;
    snprintf(inner, sizeof inner, "%s/%s", path, names[i]);
    tell(inner);
    if (lstat(inner, &is) == 0 && S_ISDIR(is.st_mode) && is.st_dev == device) walk(inner, tell);
    free(names[i]);
  }
  free(names);
}

static void make_socket(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) die(path);
}

static void make_deep(const char *path, long count) {
  if (chdir(path) != 0) die(path);
  for (long i = 0; i < count; i++) {
    if (mkdir("deeper", 0755) != 0 || chdir("deeper") != 0) die("deeper");
  }
}

int main(int argc, char **argv) {
  const char *verb = argc > 2 ? argv[1] : "";
  if (strcmp(verb, "list") == 0 || strcmp(verb, "whiteouts") == 0) {
    struct stat top;
    if (chdir(argv[2]) != 0 || stat(".", &top) != 0) die(argv[2]);
    device = top.st_dev;
    if (verb[0] == 'l') list(".");
    walk(".", verb[0] == 'l' ? list : marks);
  } else if (strcmp(verb, "capable") == 0) {
    if (setxattr(argv[2], "security.capability", CAPABILITY, sizeof CAPABILITY, 0) != 0) die(argv[2]);
  } else if (strcmp(verb, "attribute") == 0 && argc > 4) {
    if (setxattr(argv[2], argv[3], argv[4], strlen(argv[4]), 0) != 0) die(argv[2]);
  } else if (strcmp(verb, "socket") == 0) {
    make_socket(argv[2]);
  } else if (strcmp(verb, "deep") == 0 && argc > 3) {
    make_deep(argv[2], atol(argv[3]));
  } else {
    fprintf(stderr, "see the head of tree.c\n");
    return 2;
  }
  return fflush(stdout) == 0 ? 0 : 1;
}
