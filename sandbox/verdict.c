/* What is said about a run: created, started, exit, gone. The contract is in README.md. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "toroid-sandbox.h"

void tell_created(const struct run *run) {
  struct json json;
  json_begin(&json);
  json_string(&json, "event", "created");
  json_string(&json, "cgroup", run->cgroup.fd < 0 ? NULL : run->cgroup.path);
  json_number(&json, "uidBase", run->plan.rootless ? run->plan.caller : run->uid_base);
  static const char *const NETWORKS[] = {[NETWORK_NONE] = "none", [NETWORK_HOST] = "host", [NETWORK_FULL] = "full"};
  json_string(&json, "network", NETWORKS[run->plan.network]);
  if (run->plan.allow_count > 0) json_number(&json, "allowed", run->plan.allow_count);
  json_open(&json, "limits");
  for (int i = 0; i < LIMIT_COUNT; i++) {
    if (run->cgroup.limit[i][0] != '\0') json_string(&json, limit_name(i), run->cgroup.limit[i]);
  }
  if (run->plan.wall_ms != 0) json_string(&json, "wallMs", "enforced");
  json_close(&json);
  json_weak(&json, "weak", weak_of(&run->plan, &run->cgroup));
  if (run->cgroup.fd < 0) json_string(&json, "cgroupMessage", run->cgroup.why_none);
  if (run->plan.uid_count == 1) json_string(&json, "singleUidMessage", run->plan.why_single);
  json_send(&json, run->status_fd);
}

void tell_started(struct run *run, const struct message *message) {
  struct json json;
  json_begin(&json);
  json_string(&json, "event", "started");
  json_number(&json, "pid", (uint64_t)run->init);
  json_number(&json, "pidInside", (uint64_t)message->pid);
  json_open(&json, "setupUs");
  for (size_t i = 0; i < run->steps.count; i++) json_number(&json, run->steps.at[i].name, run->steps.at[i].us);
  for (size_t i = 0; i < message->steps.count && i < MAX_STEPS; i++)
    json_number(&json, message->steps.at[i].name, message->steps.at[i].us);
  json_close(&json);
  json_number(&json, "setupTotalUs", run->started_at - run->began);
  if (message->weak != 0) json_weak(&json, "weak", message->weak);
  json_send(&json, run->status_fd);
}

static bool did_setup_fail(const struct run *run) {
  return run->failure.step[0] != '\0' && run->reason == REASON_NONE;
}

/* A command that is not there is the caller's mistake or the build's, not a failure of the sandbox. */
static bool did_exec_fail(const struct run *run) {
  return did_setup_fail(run) && run->failure_code > EXIT_OURS;
}

/* Signal 9 alone does not tell who sent it, so the counters are asked first. */
static const char *reason_of(const struct run *run, int status) {
  bool signalled = WIFSIGNALED(status), killed = signalled && WTERMSIG(status) == SIGKILL;
  if (run->reason == REASON_TIMEOUT) return "timeout";
  if (run->reason == REASON_CANCELLED) return "cancelled";
  if (run->reason == REASON_SILENCE) return "silence";
  if (run->reason == REASON_LEASE) return "lease";
  /* also when it had ended before that could be seen */
  if (run->reason == REASON_OUTPUT || run->relay.is_over) return "output";
  if (did_exec_fail(run)) return "exit";
  if (did_setup_fail(run)) return "setup";
  if (run->stats.oom_kills > 0 && (killed || WEXITSTATUS(status) == 128 + SIGKILL)) return "oom";
  if (run->stats.pids_refused > 0 && (signalled || WEXITSTATUS(status) != 0)) return "pids";
  if (run->disk_full && (signalled || WEXITSTATUS(status) != 0)) return "disk";
  if (signalled && WTERMSIG(status) == SIGSYS) return "seccomp";
  return signalled ? "signal" : "exit";
}

/* Whose memory it was: the counters tell our limit from all others. */
static void sentence_of_oom(const struct run *run, char *into, size_t room) {
  char whose[120], chosen[80] = "";
  if (run->stats.memory_refused > 0)
    snprintf(whose, sizeof whose, "it used more than its %llu bytes of memory",
             (unsigned long long)run->plan.memory_bytes);
  else if (run->stats.memory_refused_below > 0)
    snprintf(whose, sizeof whose, "it used more memory than a limit that it set itself");
  else
    snprintf(whose, sizeof whose, "the memory that it shares with others was used up, not its own limit");
  if (run->culprit.name[0] != '\0') snprintf(chosen, sizeof chosen, "; the kernel chose `%s`", run->culprit.name);
  snprintf(into, room, "it was killed because %s%s", whose, chosen);
}

static void sentence_of_disk(const struct plan *plan, char *into, size_t room) {
  char bytes[64] = "", inodes[64] = "";
  if (plan->disk_bytes != 0) snprintf(bytes, sizeof bytes, "%llu bytes", (unsigned long long)plan->disk_bytes);
  if (plan->disk_inodes != 0) snprintf(inodes, sizeof inodes, "%llu files", (unsigned long long)plan->disk_inodes);
  snprintf(into, room, "it failed when it had used up the disk that it was given: %s%s%s", bytes,
           bytes[0] != '\0' && inodes[0] != '\0' ? " and " : "", inodes);
}

static void sentence_of(const struct run *run, const char *reason, int status, char *into, size_t room) {
  const struct plan *plan = &run->plan;
  unsigned long long number;
  if (did_setup_fail(run))
    failure_sentence(&run->failure, into, room);
  else if (strcmp(reason, "timeout") == 0)
    snprintf(into, room, "it was ended after %llu ms, the time it was given", (unsigned long long)plan->wall_ms);
  else if (strcmp(reason, "silence") == 0)
    snprintf(into, room, "it was ended after it had printed nothing for %llu ms", (unsigned long long)plan->silence_ms);
  else if (strcmp(reason, "lease") == 0)
    snprintf(into, room, "it was ended because who asked for it had said nothing for %llu ms",
             (unsigned long long)plan->lease_ms);
  else if (strcmp(reason, "output") == 0)
    snprintf(into, room, "it printed more than its %llu bytes", (unsigned long long)plan->output_bytes);
  else if (strcmp(reason, "cancelled") == 0)
    snprintf(into, room, "%s",
             run->orphan ? "it was ended because the process that started it is gone" : "it was cancelled");
  else if (strcmp(reason, "oom") == 0)
    sentence_of_oom(run, into, room);
  else if (strcmp(reason, "pids") == 0)
    snprintf(into, room, "it failed after it was refused more than its %llu processes", (unsigned long long)plan->pids);
  else if (strcmp(reason, "disk") == 0)
    sentence_of_disk(plan, into, room);
  else if (strcmp(reason, "seccomp") == 0)
    snprintf(into, room, "it was killed for a system call of a foreign kind");
  else if (WIFSIGNALED(status)) {
    number = (unsigned long long)WTERMSIG(status);
    snprintf(into, room, "it was ended by signal %llu (%s)", number, strsignal((int)number));
  } else {
    snprintf(into, room, "it exited with %d", WEXITSTATUS(status));
  }
}

/* Of the command when it was heard of, else of pid 1, which died with or before it. */
static int final_status(const struct run *run) {
  return run->has_status ? run->status : run->init_status;
}

static uint64_t cpu_us(const struct timeval *time) {
  return (uint64_t)time->tv_sec * 1000000u + (uint64_t)time->tv_usec;
}

/* Without a cgroup, what wait counts: of pid 1 and of all that it has reaped. */
static void put_stats(struct json *json, const struct run *run) {
  const struct cgroup_stats *stats = &run->stats;
  uint64_t user = stats->has_cpu ? stats->cpu_user_us : cpu_us(&run->usage.ru_utime);
  uint64_t system = stats->has_cpu ? stats->cpu_system_us : cpu_us(&run->usage.ru_stime);
  json_open(json, "stats");
  json_number(json, "cpuUs", stats->has_cpu ? stats->cpu_us : user + system);
  json_number(json, "cpuUserUs", user);
  json_number(json, "cpuSystemUs", system);
  json_number(json, "throttledUs", stats->throttled_us);
  json_number_or_null(json, "memoryPeakBytes", stats->has_memory_peak, stats->memory_peak);
  json_number(json, "maxRssBytes", (uint64_t)run->usage.ru_maxrss * 1024u);
  json_number_or_null(json, "pidsPeak", stats->has_pids_peak, stats->pids_peak);
  json_number(json, "wallMs", (run->ended_at - run->began) / 1000);
  json_number(json, "oomKills", stats->oom_kills);
  bool relayed = run->plan.pty || run->plan.output_bytes != 0 || run->plan.silence_ms != 0;
  json_number_or_null(json, "outputBytes", relayed, run->relay.passed);
  json_number_or_null(json, "outputDroppedBytes", relayed, run->relay.dropped);
  json_number_or_null(json, "ioReadBytes", stats->has_io, stats->io_read_bytes);
  json_number_or_null(json, "ioWriteBytes", stats->has_io, stats->io_write_bytes);
  json_number_or_null(json, "ioReads", stats->has_io, stats->io_reads);
  json_number_or_null(json, "ioWrites", stats->has_io, stats->io_writes);
  static const char *const PRESSURES[PRESSURE_COUNT] = {
      [PRESSURE_CPU] = "cpuPressureUs", [PRESSURE_MEMORY] = "memoryPressureUs", [PRESSURE_IO] = "ioPressureUs"};
  for (int i = 0; i < PRESSURE_COUNT; i++)
    json_number_or_null(json, PRESSURES[i], stats->has_pressure[i], stats->pressure_us[i]);
  json_close(json);
}

void tell_exit(struct run *run) {
  struct json json;
  char sentence[640];
  int status = final_status(run);
  bool setup = did_setup_fail(run);
  const char *reason = reason_of(run, status);
  bool oom = strcmp(reason, "oom") == 0;
  if (oom) (void)culprit_find(run->cgroup.name, &run->culprit);
  sentence_of(run, reason, status, sentence, sizeof sentence);
  if (setup) complain("%s", sentence);
  json_begin(&json);
  json_string(&json, "event", "exit");
  json_number_or_null(&json, "code", setup || WIFEXITED(status),
                      setup ? (uint64_t)exit_code(run) : (uint64_t)WEXITSTATUS(status));
  json_number_or_null(&json, "signal", !setup && WIFSIGNALED(status), (uint64_t)WTERMSIG(status));
  json_string(&json, "reason", reason);
  json_string(&json, "message", sentence);
  if (oom) json_string(&json, "culprit", run->culprit.name[0] == '\0' ? NULL : run->culprit.name);
  if (setup) {
    json_string(&json, "step", run->failure.step);
    json_string(&json, "errno", run->failure.error == 0 ? NULL : errno_name(run->failure.error));
    if (run->lacks != 0) json_weak(&json, "lacks", run->lacks);
  }
  put_stats(&json, run);
  json_send(&json, run->status_fd);
}

void tell_gone(const struct run *run) {
  struct json json;
  json_begin(&json);
  json_string(&json, "event", "gone");
  json_number(&json, "leftoverProcesses", run->leftovers);
  json_number(&json, "teardownUs", now_us() - run->ended_at);
  json_send(&json, run->status_fd);
}

int exit_code(const struct run *run) {
  int status = final_status(run);
  if (run->reason == REASON_TIMEOUT || run->reason == REASON_SILENCE) return EXIT_TIMEOUT;
  if (did_setup_fail(run)) return run->failure_code == 0 ? EXIT_OURS : run->failure_code;
  if (WIFSIGNALED(status)) return EXIT_SIGNAL + WTERMSIG(status);
  return WEXITSTATUS(status);
}

void refuse_run(const struct plan *plan, const struct sentence *why) {
  struct json json;
  json_begin(&json);
  json_string(&json, "event", "exit");
  json_number(&json, "code", EXIT_OURS);
  json_string(&json, "signal", NULL);
  json_string(&json, "reason", "setup");
  json_string(&json, "message", why->text);
  json_string(&json, "step", "options");
  if (plan->status_fd != NO_FD && plan->status_fd != 0) json_send(&json, (int)plan->status_fd);
}
