/* What a run has used and met, read from its cgroup before that is removed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "toroid-sandbox.h"

static bool number_after(const char *text, const char *key, uint64_t *value) {
  size_t length = strlen(key);
  for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, key, length) == 0 && line[length] == ' ') {
      *value = strtoull(line + length + 1, NULL, 10);
      return true;
    }
  }
  return false;
}

static bool read_number_file(int cgroup, const char *name, uint64_t *value) {
  char text[64];
  if (read_text(cgroup, name, text, sizeof text) <= 0) return false;
  *value = strtoull(text, NULL, 10);
  return true;
}

/* `some avg10=… avg60=… avg300=… total=N`: how long at least one process waited. */
static bool read_pressure(int cgroup, const char *name, uint64_t *us) {
  char text[512];
  if (read_text(cgroup, name, text, sizeof text) <= 0) return false;
  const char *total = strstr(text, "total=");
  if (strncmp(text, "some ", 5) != 0 || total == NULL) return false;
  *us = strtoull(total + strlen("total="), NULL, 10);
  return true;
}

static uint64_t value_of(const char *line, const char *key) {
  const char *at = strstr(line, key);
  return at == NULL ? 0 : strtoull(at + strlen(key), NULL, 10);
}

/* A line for each device, `254:0 rbytes=1 wbytes=2 rios=3 wios=4 …`: the sum of all. There are hosts with many. */
static void read_io(int cgroup, struct cgroup_stats *stats) {
  int fd = openat(cgroup, "io.stat", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  FILE *file = fd < 0 ? NULL : fdopen(fd, "re");
  if (file == NULL) {
    if (fd >= 0) close(fd);
    return;
  }
  stats->has_io = true;
  char line[1024];
  while (fgets(line, sizeof line, file) != NULL) {
    stats->io_read_bytes += value_of(line, " rbytes=");
    stats->io_write_bytes += value_of(line, " wbytes=");
    stats->io_reads += value_of(line, " rios=");
    stats->io_writes += value_of(line, " wios=");
  }
  fclose(file);
}

static void read_memory(int cgroup, struct cgroup_stats *stats) {
  char text[2048];
  stats->has_memory_peak = read_number_file(cgroup, "memory.peak", &stats->memory_peak);
  if (read_text(cgroup, "memory.events", text, sizeof text) > 0) {
    number_after(text, "oom_kill", &stats->oom_kills);
    number_after(text, "oom", &stats->memory_refused_below);
  }
  /* only the local ones tell our limit from one below, and neither has met one that is above */
  if (read_text(cgroup, "memory.events.local", text, sizeof text) > 0)
    number_after(text, "oom", &stats->memory_refused);
}

void cgroup_read(const struct cgroup *cgroup, struct cgroup_stats *stats) {
  *stats = (struct cgroup_stats){0};
  if (cgroup->fd < 0) return;
  char text[2048];
  if (read_text(cgroup->fd, "cpu.stat", text, sizeof text) > 0) {
    stats->has_cpu = number_after(text, "usage_usec", &stats->cpu_us);
    number_after(text, "user_usec", &stats->cpu_user_us);
    number_after(text, "system_usec", &stats->cpu_system_us);
    number_after(text, "throttled_usec", &stats->throttled_us);
  }
  read_memory(cgroup->fd, stats);
  if (read_text(cgroup->fd, "pids.events", text, sizeof text) > 0) number_after(text, "max", &stats->pids_refused);
  stats->has_pids_peak = read_number_file(cgroup->fd, "pids.peak", &stats->pids_peak);
  read_io(cgroup->fd, stats);
  static const char *const PRESSURES[PRESSURE_COUNT] = {
      [PRESSURE_CPU] = "cpu.pressure", [PRESSURE_MEMORY] = "memory.pressure", [PRESSURE_IO] = "io.pressure"};
  for (int i = 0; i < PRESSURE_COUNT; i++)
    stats->has_pressure[i] = read_pressure(cgroup->fd, PRESSURES[i], &stats->pressure_us[i]);
}
