/* How a run ends, however it came to that: kills what is left, waits until it is gone, reads what it used, and only
 * then removes. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "disk.h"

enum { KILL_PATIENCE_MS = 60000 };

/* Pid 1 is reaped after all else in its namespace. What hangs in the kernel (a dead network disk) hangs it. */
static void reap_init(struct run *run) {
  struct pollfd gone = {.fd = run->init_fd, .events = POLLIN};
  if (poll(&gone, 1, KILL_PATIENCE_MS) == 1 && wait4(run->init, &run->init_status, 0, &run->usage) == run->init) return;
  run->undead = true;
  run->init_status = SIGKILL;
  complain("processes of the run do not die, and are left");
}

static bool removes_scratch(const struct run *run) {
  return run->has_scratch && (!run->plan.keep_scratch || run->orphan);
}

/* Taking a mount namespace down waits for the whole kernel twice. Where nobody needs to see its end, it is held until
 * nobody waits for us; the process that deletes the scratch has it too. */
static void let_mounts_go(struct run *run) {
  if (run->mounts_fd >= 0) close(run->mounts_fd);
  run->mounts_fd = -1;
}

/* A client does not wait for this process but for the end of what it hears: the next run may then have the slot and the
 * scratch, and what this one wrote is deleted when nobody waits. */
static void end_for_client(struct run *run) {
  char trash[TRASH_NAME_BYTES] = "";
  if (removes_scratch(run) && scratch_put_aside(&run->scratch, trash, sizeof trash) != 0)
    complain("the scratch %s cannot be removed: %s", run->plan.scratch, strerror(errno));
  if (run->uids_fd >= 0) close(run->uids_fd);
  if (run->has_scratch) close(run->scratch.lock_fd);
  tell_gone(run);
  (void)shutdown(run->client, SHUT_WR);
  let_mounts_go(run); /* before what they show is deleted */
  if (trash[0] != '\0') scratch_delete(&run->scratch, trash);
}

void end_everything(struct run *run) {
  run->ended_at = now_us();
  if (run->init > 0) {
    size_t alive = cgroup_count(&run->cgroup);
    run->leftovers = alive > 0 && run->has_status ? alive - 1 : 0; /* pid 1 is ours */
    cgroup_kill(&run->cgroup);
    (void)sys_pidfd_kill(run->init_fd, SIGKILL);
    reap_init(run);
    /* it gave up waiting for us, and with it went all others as by KILL */
    if (run->reason == REASON_TIMEOUT && WIFEXITED(run->init_status)) run->init_status = SIGKILL;
    bool unexplained = !run->has_status && run->reason == REASON_NONE && WIFEXITED(run->init_status);
    if (unexplained && run->failure.step[0] == '\0') (void)lost_init(run, "init");
  }
  const int giving_up[2] = {run->signal_fd, run->client >= 0 ? run->client : run->parent_fd};
  if (!run->orphan) relay_finish(&run->relay, giving_up);
  terminal_give_back(&run->terminal);
  cgroup_read(&run->cgroup, &run->stats);
  run->disk_full = disk_is_full(&run->scratch);
  disk_close(&run->scratch);
  tell_exit(run);
  if (cgroup_remove(&run->cgroup) != 0)
    complain("the cgroup %s cannot be removed: %s", run->cgroup.path, strerror(errno));
  /* before the scratch: what deletes it in the background must not hold the slot's lock */
  slot_leave(&run->slot, !run->undead);
  if (run->client >= 0) return end_for_client(run);
  if (removes_scratch(run) && scratch_remove(&run->scratch) != 0)
    complain("the scratch %s cannot be removed: %s", run->plan.scratch, strerror(errno));
  let_mounts_go(run);
  tell_gone(run);
}
