/* What a run may take, written into its cgroup. What cannot be written is told, never passed over. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "toroid-sandbox.h"

#define CPU_PERIOD_US 100000

static const struct {
  const char *name, *controller, *file, *without;
} LIMITS[LIMIT_COUNT] = {
    [LIMIT_MEMORY] = {"memoryBytes", "memory", "memory.max", "memory is not limited"},
    [LIMIT_PIDS] = {"pids", "pids", "pids.max",
                    "processes are limited by RLIMIT_NPROC only, each user inside by itself"},
    [LIMIT_CPU] = {"cpuMilli", "cpu", "cpu.max", "processor time is not limited"},
    [LIMIT_CPU_WEIGHT] = {"cpuWeight", "cpu", "cpu.weight", "it competes for processor time like any other"},
    [LIMIT_IO_READ_BPS] = {"ioReadBps", "io", "io.max", "bytes read from disk are not limited"},
    [LIMIT_IO_WRITE_BPS] = {"ioWriteBps", "io", "io.max", "bytes written to disk are not limited"},
    [LIMIT_IO_READ_IOPS] = {"ioReadIops", "io", "io.max", "reads from disk are not limited"},
    [LIMIT_IO_WRITE_IOPS] = {"ioWriteIops", "io", "io.max", "writes to disk are not limited"},
    [LIMIT_DISK_BYTES] = {"diskBytes", NULL, NULL, NULL},
    [LIMIT_DISK_INODES] = {"diskInodes", NULL, NULL, NULL},
};

const char *limit_name(int which) {
  return LIMITS[which].name;
}

static bool has_word(const char *text, const char *word) {
  size_t length = strlen(word);
  for (const char *at = text; (at = strstr(at, word)) != NULL; at += length) {
    bool starts = at == text || at[-1] == ' ', ends = strchr(" \n", at[length]) != NULL;
    if (starts && ends) return true;
  }
  return false;
}

/* Passes the controllers that there are on to the directories below the base: ours to do, for the base was given to us.
 * Those too that nothing is limited by, for they count what is used. Setting a limit tells whether it worked. */
static void enable_controllers(int base) {
  static const char *const CONTROLLERS[] = {"memory", "pids", "cpu", "io"};
  char offered[512], enabled[512], word[32];
  if (read_text(base, "cgroup.controllers", offered, sizeof offered) < 0) return;
  if (read_text(base, "cgroup.subtree_control", enabled, sizeof enabled) < 0) return;
  for (size_t i = 0; i < sizeof CONTROLLERS / sizeof CONTROLLERS[0]; i++) {
    if (!has_word(offered, CONTROLLERS[i]) || has_word(enabled, CONTROLLERS[i])) continue;
    snprintf(word, sizeof word, "+%s", CONTROLLERS[i]);
    (void)!write_text(base, "cgroup.subtree_control", word);
  }
}

__attribute__((format(printf, 3, 4))) static void unsupported(struct cgroup *cgroup, int which, const char *format,
                                                              ...) {
  char why[160];
  va_list rest;
  va_start(rest, format);
  vsnprintf(why, sizeof why, format, rest);
  va_end(rest);
  snprintf(cgroup->limit[which], sizeof cgroup->limit[which], UNSUPPORTED "%s, so %s", why, LIMITS[which].without);
}

static void set_limit(struct cgroup *cgroup, int which, const char *value, const char *base) {
  const char *controller = LIMITS[which].controller;
  if (cgroup->fd < 0)
    unsupported(cgroup, which, "this host, without a cgroup v2 for us, offers no %s controller", controller);
  else if (write_text(cgroup->fd, LIMITS[which].file, value))
    snprintf(cgroup->limit[which], sizeof cgroup->limit[which], "enforced");
  else if (errno == ENOENT)
    unsupported(cgroup, which, "%.120s offers no %s controller", base, controller);
  else
    unsupported(cgroup, which, "the kernel refuses `%s` in %s with %s", value, LIMITS[which].file, errno_name(errno));
}

/* The disk that a device is a part of: io.max knows no partitions. */
static bool whole_disk(dev_t device, char *into, size_t room) {
  char path[80];
  if (major(device) == 0) return false;
  snprintf(into, room, "%u:%u", major(device), minor(device));
  snprintf(path, sizeof path, "/sys/dev/block/%s/partition", into);
  if (access(path, F_OK) != 0) return true;
  char disk[32];
  snprintf(path, sizeof path, "/sys/dev/block/%s/../dev", into);
  if (read_text(AT_FDCWD, path, disk, sizeof disk) <= 0) return true;
  disk[strcspn(disk, "\n")] = '\0';
  snprintf(into, room, "%s", disk);
  return true;
}

static void set_io_limit(struct cgroup *cgroup, int which, const char *key, uint64_t number, dev_t device,
                         const char *base) {
  char disk[32], value[80];
  if (!whole_disk(device, disk, sizeof disk)) {
    unsupported(cgroup, which, "the scratch is on no block device (but on %u:%u)", major(device), minor(device));
    return;
  }
  snprintf(value, sizeof value, "%s %s=%llu", disk, key, (unsigned long long)number);
  set_limit(cgroup, which, value, base);
}

void limits_set(struct cgroup *cgroup, const struct plan *plan, dev_t disk, const char *base) {
  char value[64];
  if (cgroup->fd >= 0) {
    enable_controllers(cgroup->base_fd);
    /* a run is ended as a whole, also when it is a cgroup around it that has no memory left */
    (void)!write_text(cgroup->fd, "memory.oom.group", "1");
  }
  if (plan->memory_bytes != 0) {
    snprintf(value, sizeof value, "%llu", (unsigned long long)plan->memory_bytes);
    set_limit(cgroup, LIMIT_MEMORY, value, base);
    /* not there on a kernel without swap accounting */
    if (cgroup->limit[LIMIT_MEMORY][0] == 'e') (void)!write_text(cgroup->fd, "memory.swap.max", "0");
  }
  if (plan->pids != 0) {
    snprintf(value, sizeof value, "%llu", (unsigned long long)plan->pids);
    set_limit(cgroup, LIMIT_PIDS, value, base);
  }
  if (plan->cpu_milli != 0) {
    snprintf(value, sizeof value, "%llu %d", (unsigned long long)plan->cpu_milli * (CPU_PERIOD_US / 1000),
             CPU_PERIOD_US);
    set_limit(cgroup, LIMIT_CPU, value, base);
  }
  if (plan->cpu_weight != 0) {
    snprintf(value, sizeof value, "%llu", (unsigned long long)plan->cpu_weight);
    set_limit(cgroup, LIMIT_CPU_WEIGHT, value, base);
  }
  const struct {
    int which;
    const char *key;
    uint64_t number;
  } IO[] = {{LIMIT_IO_READ_BPS, "rbps", plan->io_read_bps},
            {LIMIT_IO_WRITE_BPS, "wbps", plan->io_write_bps},
            {LIMIT_IO_READ_IOPS, "riops", plan->io_read_iops},
            {LIMIT_IO_WRITE_IOPS, "wiops", plan->io_write_iops}};
  for (size_t i = 0; i < sizeof IO / sizeof IO[0]; i++) {
    if (IO[i].number != 0) set_io_limit(cgroup, IO[i].which, IO[i].key, IO[i].number, disk, base);
  }
}
