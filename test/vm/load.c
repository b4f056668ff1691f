/* What a build may do to the machine, one burden a call; the tests of this folder run it inside the sandbox.
 *
 *   load memory MIB [PROCESSES]   takes MIB in each of so many processes, then holds it
 *   load forks N                  N processes that sleep; says how many there are, fails when refused
 *   load threads N                the same with threads
 *   load bomb                     processes that make processes, for ever
 *   load spin THREADS MS          keeps so many threads busy for so long
 *   load write MIB KIB            a file of MIB written in pieces of KIB, past the cache; load read: and then read so
 *   load files N                  N empty files in the directory that it is in; says how many there are, fails when refused
 *   load fallocate MIB            a file with so much of the disk set aside
 *   load storm N                  N files of one page, each written and brought to the disk
 *   load lock MIB                 locks all memory that it has and gets, then takes MIB
 *   load quota DIR PROJECT        what a project has in the file system of DIR, and its limits, in bytes and files
 *   load project FILE PROJECT     gives a file to another project
 *   load delegate DIR             marks a cgroup as a service manager does one that it gives away
 *   load contained COMMAND...     runs it as a container's engine does: its cgroup is the root of all that it sees
 *   load ask SOCKET UID WORD...   asks a `serve`, as that user, and prints what it says
 *   load called NAME ...          one of these under a name */
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static int contained(char **command) {
  if (unshare(CLONE_NEWCGROUP | CLONE_NEWNS) != 0 || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      umount2("/sys/fs/cgroup", MNT_DETACH) != 0 || mount("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL) != 0)
    return 125;
  execvp(command[0], command);
  return 127;
}

static long number(char **argv, int argc, int at, long otherwise) { return at < argc ? atol(argv[at]) : otherwise; }

static void take(long mib) {
  size_t bytes = (size_t)mib << 20;
  char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) exit(2);
  for (size_t i = 0; i < bytes; i += 4096) at[i] = 1;
}

static int memory(long mib, long processes) {
  for (long i = 1; i < processes; i++) {
    if (fork() == 0) {
      take(mib);
      for (;;) pause();
    }
  }
  take(mib);
  printf("has it\n");
  fflush(stdout);
  if (processes > 1) sleep(2); /* the others are as slow as the machine is */
  return 0;
}

static int forks(long count) {
  for (long i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid < 0) {
      printf("%ld, then %s\n", i, strerrorname_np(errno));
      return 1;
    }
    if (pid == 0)
      for (;;) pause();
  }
  printf("%ld\n", count);
  return 0;
}

static void *sleep_on(void *nothing) {
  for (;;) pause();
  return nothing;
}

static int threads(long count) {
  for (long i = 0; i < count; i++) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, sleep_on, NULL);
    if (error == 0) continue;
    printf("%ld, then %s\n", i, strerrorname_np(error));
    return 1;
  }
  printf("%ld\n", count);
  return 0;
}

static long now_ms(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static void *spin_until(void *end) {
  while (now_ms() < *(long *)end) continue;
  return NULL;
}

static int spin(long count, long ms) {
  static pthread_t all[64];
  static long end;
  end = now_ms() + ms;
  for (long i = 0; i < count && i < 64; i++) {
    if (pthread_create(&all[i], NULL, spin_until, &end) != 0) return 2;
  }
  for (long i = 0; i < count && i < 64; i++) pthread_join(all[i], NULL);
  return 0;
}

static int bomb(void) {
  for (;;) (void)!fork();
}

static int move(int fd, bool out, long mib, long kib) {
  size_t bytes = (size_t)kib << 10;
  char *piece = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (fd < 0 || piece == MAP_FAILED) return 2;
  for (long done = 0; done < mib << 10; done += kib) {
    ssize_t moved = out ? write(fd, piece, bytes) : read(fd, piece, bytes);
    if (moved == (ssize_t)bytes) continue;
    printf("%ld KiB, then %s\n", done, strerrorname_np(errno));
    return 1;
  }
  return close(fd);
}

static int disk(bool back, long mib, long kib) {
  int wrote = move(open("/var/disk", O_WRONLY | O_CREAT | O_DIRECT, 0600), true, mib, kib);
  return wrote != 0 || !back ? wrote : move(open("/var/disk", O_RDONLY | O_DIRECT), false, mib, kib);
}

static int files(long count) {
  char name[24];
  for (long i = 0; i < count; i++) {
    snprintf(name, sizeof name, "file-%ld", i);
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
      printf("%ld, then %s\n", i, strerrorname_np(errno));
      return 1;
    }
    close(fd);
  }
  printf("%ld\n", count);
  return 0;
}

static int set_aside(long mib) {
  int fd = open("/var/aside", O_WRONLY | O_CREAT, 0600);
  if (fd < 0) return 2;
  if (fallocate(fd, 0, 0, (off_t)mib << 20) == 0) return 0;
  printf("%s\n", strerrorname_np(errno));
  return 1;
}

static int storm(long count) {
  static char page[4096];
  for (long i = 0; i < count; i++) {
    int fd = open("/var/storm", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, page, sizeof page) != sizeof page || fsync(fd) != 0 || close(fd) != 0) return 1;
    sync();
  }
  return 0;
}

static int lock(long mib) {
  if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
    printf("%s\n", strerrorname_np(errno));
    return 1;
  }
  void *at = mmap(NULL, (size_t)mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  printf("%s\n", at == MAP_FAILED ? strerrorname_np(errno) : "has it");
  return at == MAP_FAILED;
}

static int quota(const char *dir, long project) {
  struct fs_disk_quota quota = {0};
  int fd = open(dir, O_RDONLY | O_DIRECTORY);
  if (fd < 0 || syscall(SYS_quotactl_fd, fd, QCMD(Q_XGETQUOTA, PRJQUOTA), (unsigned)project, &quota) != 0) return 1;
  printf("%llu of %llu bytes, %llu of %llu files\n", (unsigned long long)quota.d_bcount * 512,
         (unsigned long long)quota.d_blk_hardlimit * 512, (unsigned long long)quota.d_icount,
         (unsigned long long)quota.d_ino_hardlimit);
  return 0;
}

static int give(const char *file, long project) {
  struct fsxattr attributes;
  int fd = open(file, O_RDONLY);
  if (fd >= 0 && ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0) {
    attributes.fsx_projid = (unsigned)project;
    if (ioctl(fd, FS_IOC_FSSETXATTR, &attributes) == 0) {
      printf("given\n");
      return 0;
    }
  }
  printf("%s\n", strerrorname_np(errno));
  return 1;
}

static int ask(char **argv, int argc) {
  char words[8192], said[4096];
  uint32_t length = 0;
  for (int i = 4; i < argc && length + strlen(argv[i]) + 1 < sizeof words; i++)
    length += (uint32_t)sprintf(words + length, "%s", argv[i]) + 1;
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  snprintf(at.sun_path, sizeof at.sun_path, "%s", argv[2]);
  uid_t uid = (uid_t)atol(argv[3]);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) return 2;
  if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) return 3;
  if (write(fd, &length, sizeof length) != sizeof length || write(fd, words, length) != (ssize_t)length) return 4;
  for (ssize_t got; (got = read(fd, said, sizeof said)) > 0;)
    if (fwrite(said, 1, (size_t)got, stdout) != (size_t)got) return 5;
  return 0;
}

int main(int argc, char **argv) {
  if (argc > 3 && strcmp(argv[1], "called") == 0) {
    prctl(PR_SET_NAME, argv[2]);
    argc -= 2, argv += 2;
  }
  const char *what = argc > 1 ? argv[1] : "";
  long first = number(argv, argc, 2, 1), second = number(argv, argc, 3, 1);
  if (strcmp(what, "memory") == 0) return memory(first, second);
  if (strcmp(what, "forks") == 0) return forks(first);
  if (strcmp(what, "threads") == 0) return threads(first);
  if (strcmp(what, "spin") == 0) return spin(first, second);
  if (strcmp(what, "bomb") == 0) return bomb();
  if (strcmp(what, "delegate") == 0 && argc == 3) return -setxattr(argv[2], "trusted.delegate", "1", 1, 0);
  if (strcmp(what, "contained") == 0 && argc > 2) return contained(argv + 2);
  if (strcmp(what, "ask") == 0 && argc > 4) return ask(argv, argc);
  if (strcmp(what, "files") == 0) return files(first);
  if (strcmp(what, "fallocate") == 0) return set_aside(first);
  if (strcmp(what, "storm") == 0) return storm(first);
  if (strcmp(what, "lock") == 0) return lock(first);
  if (strcmp(what, "quota") == 0 && argc == 4) return quota(argv[2], second);
  if (strcmp(what, "project") == 0 && argc == 4) return give(argv[2], second);
  if (strcmp(what, "write") == 0 || strcmp(what, "read") == 0) return disk(what[0] == 'r', first, second);
  return 125;
}
