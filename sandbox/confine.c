/* Runs what reads a hostile archive or tree in a process of its own that can do nothing but that: its root is the
 * directory, its capabilities are the few that files need, and the kernel takes the calls of the list below from it
 * and no others. Any of these that cannot be had ends it. A reader that was taken over holds one directory. */
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "toroid-archive.h"

enum { STREAM = 3, REPORT = 4, MAX_RESULT = 256, FILES = 8192 };

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "confine.c wants to know this architecture's name in <linux/audit.h>"
#endif

/* Of files, of memory, and to end. What acts on other processes is not here, for they may be root's too. */
static const int CALLS[] = {
    SYS_read,         SYS_write,          SYS_pread64,      SYS_pwrite64,      SYS_lseek,       SYS_ftruncate,
    SYS_close,        SYS_fstat,          SYS_newfstatat,   SYS_statx,         SYS_openat,      SYS_openat2,
    SYS_getdents64,   SYS_readlinkat,     SYS_mkdirat,      SYS_mknodat,       SYS_symlinkat,   SYS_linkat,
    SYS_unlinkat,     SYS_renameat,       SYS_renameat2,    SYS_fchown,        SYS_fchownat,    SYS_fchmod,
    SYS_fchmodat,     SYS_utimensat,      SYS_fsetxattr,    SYS_fgetxattr,     SYS_flistxattr,  SYS_brk,
    SYS_mmap,         SYS_munmap,         SYS_mremap,       SYS_mprotect,      SYS_madvise,     SYS_futex,
    SYS_getrandom,    SYS_getpid,         SYS_gettid,       SYS_clock_gettime, SYS_sched_yield, SYS_sigaltstack,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_exit,          SYS_exit_group,
};
enum { CALL_COUNT = sizeof CALLS / sizeof CALLS[0] };

#define NUMBER(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, member))
#define ANSWER(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define EQUALS(value, then, otherwise) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), (then), (otherwise))

/* fcntl could also send signals, so only what opendir asks for: the flags, and to close on exec. */
static int load_filter(void) {
  enum { HEAD = 4, TAIL = 7 };
  struct sock_filter filter[HEAD + CALL_COUNT + TAIL];
  const struct sock_filter head[HEAD] = {
      NUMBER(arch),
      EQUALS(ARCHITECTURE, 1, 0),
      ANSWER(SECCOMP_RET_KILL_PROCESS),
      NUMBER(nr),
  };
  const struct sock_filter tail[TAIL] = {
      EQUALS(SYS_fcntl, 0, 4),   NUMBER(args[1]), /* the low half: both architectures are little-endian */
      EQUALS(F_GETFL, 3, 0),     EQUALS(F_SETFD, 2, 0), EQUALS(F_GETFD, 1, 0), ANSWER(SECCOMP_RET_ERRNO | ENOSYS),
      ANSWER(SECCOMP_RET_ALLOW),
  };
  memcpy(filter, head, sizeof head);
  for (size_t i = 0; i < CALL_COUNT; i++)
    filter[HEAD + i] = (struct sock_filter)EQUALS(CALLS[i], (unsigned char)(CALL_COUNT - i - 1 + 6), 0);
  memcpy(filter + HEAD + CALL_COUNT, tail, sizeof tail);
  const struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)
                                                     : -1;
}

static int keep_capabilities(uint64_t set) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {
      {.effective = (uint32_t)set, .permitted = (uint32_t)set},
      {.effective = (uint32_t)(set >> 32), .permitted = (uint32_t)(set >> 32)},
  };
  return (int)syscall(SYS_capset, &header, data);
}

/* Nothing is open but standard error, the stream and the way back. A deep tree takes one descriptor a level. */
static int keep_descriptors(int stream, int report) {
  const struct rlimit core = {0, 0};
  struct rlimit files;
  int high_stream = fcntl(stream, F_DUPFD, 16), high_report = fcntl(report, F_DUPFD, 16);
  if (high_stream < 0 || high_report < 0 || dup2(high_stream, STREAM) < 0 || dup2(high_report, REPORT) < 0 ||
      sys_close_range(0, 1) != 0 || sys_close_range(REPORT + 1, ~0u) != 0)
    return -1;
  if (setrlimit(RLIMIT_CORE, &core) != 0 || getrlimit(RLIMIT_NOFILE, &files) != 0) return -1;
  files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES;
  return setrlimit(RLIMIT_NOFILE, &files);
}

static int confine(const struct job *job, int report, pid_t parent, struct failure *failure) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
    return failed(failure, job->step, "the process that started it is gone");
  umask(0);
  signal(SIGPIPE, SIG_IGN); /* a reader that is gone is an error like others */
  if (fchdir(job->root) != 0 || chroot(".") != 0)
    return failed(failure, job->step, "cannot make the directory its root");
  if (keep_descriptors(job->stream, report) != 0)
    return failed(failure, job->step, "cannot close what the host has open");
  if (keep_capabilities(job->capabilities) != 0) return failed(failure, job->step, "cannot drop capabilities");
  return load_filter() == 0 ? 0 : failed(failure, job->step, "the kernel does not take the list of system calls");
}

struct answer {
  bool done;
  struct failure failure;
  char result[MAX_RESULT];
};

__attribute__((noreturn)) static void do_job(const struct job *job, int report, pid_t parent) {
  struct answer answer = {0};
  int way_back = report;
  if (confine(job, report, parent, &answer.failure) == 0) {
    way_back = REPORT;
    answer.done = job->work(job->plan, STREAM, answer.result, &answer.failure) == 0;
  }
  _exit(write(way_back, &answer, sizeof answer) == sizeof answer ? 0 : 1);
}

/* Until the other side has said all it will say, or it is to be ended. False: cancelled. */
static bool read_answer(const struct job *job, int report, struct answer *answer, size_t *used) {
  for (*used = 0; *used < sizeof *answer;) {
    struct pollfd on[] = {{.fd = report, .events = POLLIN}, {.fd = job->cancel, .events = POLLIN}};
    if (poll(on, 2, -1) < 0) continue;
    if (on[1].revents != 0) return false;
    ssize_t got = read(report, (char *)answer + *used, sizeof *answer - *used);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;
    *used += (size_t)got;
  }
  return true;
}

/* It may have been taken over by what it read: its words go to a terminal. */
static int take_answer(const struct job *job, struct answer *answer, struct failure *failure) {
  if (answer->done) {
    memcpy(job->result, answer->result, job->result_bytes);
    return 0;
  }
  answer->failure.step[sizeof answer->failure.step - 1] = '\0';
  answer->failure.text[sizeof answer->failure.text - 1] = '\0';
  for (char *c = answer->failure.step; *c != '\0'; c++) *c = *c >= 0x20 && *c < 0x7f ? *c : '?';
  for (char *c = answer->failure.text; *c != '\0'; c++) *c = *c >= 0x20 && *c < 0x7f ? *c : '?';
  errno = answer->failure.error;
  return failed(failure, answer->failure.step, "%s", answer->failure.text);
}

int job_run(const struct job *job, struct failure *failure) {
  struct answer answer;
  size_t used = 0;
  int report[2], status = 0;
  if (pipe2(report, O_CLOEXEC) != 0) return failed(failure, job->step, "no pipe");
  pid_t parent = getpid(), child = fork();
  if (child == 0) do_job(job, report[1], parent);
  if (child < 0) (void)failed(failure, job->step, "no process");
  close(report[1]);
  bool heard = child > 0 && read_answer(job, report[0], &answer, &used);
  close(report[0]);
  if (child < 0) return -1;
  if (!heard) kill(child, SIGKILL);
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  errno = 0;
  if (!heard) return failed(failure, job->step, "it was cancelled");
  if (used != sizeof answer && WIFSIGNALED(status))
    return failed(failure, job->step, "the process that reads what is hostile died of signal %d", WTERMSIG(status));
  if (used != sizeof answer)
    return failed(failure, job->step, "the process that reads what is hostile ended without a word");
  return take_answer(job, &answer, failure);
}

int watch_for_cancel(const char *step, struct failure *failure) {
  sigset_t set;
  sigemptyset(&set);
  for (const int *number = (const int[]){SIGTERM, SIGINT, SIGHUP, SIGQUIT, 0}; *number != 0; number++)
    sigaddset(&set, *number);
  signal(SIGCHLD, SIG_DFL);
  int fd = sigprocmask(SIG_BLOCK, &set, NULL) == 0 ? signalfd(-1, &set, SFD_CLOEXEC) : -1;
  return fd >= 0 ? fd : failed(failure, step, "cannot watch signals");
}

bool take_cap(const char *name, const char *value, uint64_t *bytes, uint64_t *files) {
  if (strcmp(name, "--max-bytes") == 0) return read_number(value, 0, INT64_MAX, bytes);
  if (strcmp(name, "--max-files") == 0) return read_number(value, 0, INT64_MAX, files);
  return false;
}

int say_failure(const struct failure *failure) {
  char sentence[640];
  failure_sentence(failure, sentence, sizeof sentence);
  complain("%s", sentence);
  return EXIT_OURS;
}
