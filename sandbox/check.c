/* `check`: everything that a run needs or can use on this host, found by doing it as this user's runs would; what
 * follows where it is not there, and how to get it. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"

#define NO_START "No run begins here."

/* In the order of a run: what is below stands on what is above. */
static const struct check CHECKS[] = {
    {"kernel", look_kernel, "It is tried on 6.1 and newer.", "Use a newer kernel.", 0, FOR_ALL},
    {"namespaces", look_namespaces, NO_START,
     "Set user.max_user_namespaces above 0; where there are such, kernel.unprivileged_userns_clone=1 and "
     "kernel.apparmor_restrict_unprivileged_userns=0; in a container, one that lets it (--privileged, or a seccomp "
     "profile with clone3 and unshare); CONFIG_USER_NS.",
     0, FOR_ALL},
    {"cgroup-namespace", look_cgroup_namespace, "A run may see the path of its cgroup.",
     "Use a kernel with "
     "CONFIG_CGROUPS.",
     0, FOR_ALL},
    {"subordinate-uids", look_subordinate_uids, "A run has uid 0 and no other: no chown, no --user.",
     "Install uidmap, and give the user ranges: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "
     "USER`.",
     0, FOR_USERS},
    {"owners", look_owners, "No run begins with images or binds from there.",
     "Use ext4, xfs, btrfs or, since Linux 6.3, tmpfs for it: not another overlay, as in a container, and no network "
     "file system.",
     0, FOR_ROOT},
    {"image-host", look_image_host, "--image host is refused; a directory can be an image.",
     "Unpack an image into a directory of the caller's, by `toroid-sandbox unpack`; root of a host on ext4, xfs or "
     "btrfs has it.",
     0, FOR_ALL},
    {"overlay", look_overlay, NO_START,
     "Load the module (`modprobe overlay`; CONFIG_OVERLAY_FS), and give a --state on ext4, xfs, btrfs or tmpfs, which "
     "this user may write and which is no overlay itself.",
     0, FOR_ALL},
    {"overlay-detached", look_detached_layers, "", "", 0, FOR_ALL},
    {"devices", look_devices, NO_START,
     "Run where CAP_MKNOD is left and no device policy forbids it: not in an unprivileged container.", 0, FOR_ALL},
    {"proc", look_proc, NO_START,
     "Uncover /proc: in a container, `--security-opt systempaths=unconfined` (docker) or `unmask=ALL` (podman).", 0,
     FOR_ALL},
    {"seccomp", look_seccomp, NO_START, "Use a kernel with CONFIG_SECCOMP_FILTER.", 0, FOR_ALL},
    {"pidfd", look_pidfd, "The death of a caller is not seen.",
     "Use Linux 5.3 or newer, and let a container's seccomp profile pass pidfd_open.", 0, FOR_ALL},
    {"network-none", look_empty_network, "Only --network host begins.", "Use a kernel with CONFIG_NET_NS.", 0, FOR_ALL},
    {"network-pool", look_network_pool, "Only --network none and host begin.",
     "Install iproute2 and nftables, and set net.ipv4.ip_forward=1 (or give net up --forward); `net check` says all "
     "of it.",
     0, FOR_ROOT},
    {"cgroup", look_cgroup, "Nothing is limited or counted, and a run is ended by its pid namespace alone.", "", 0,
     FOR_ALL},
    {"cgroup-enter", look_cgroup_enter, "No run begins below that directory.",
     "Start it from within: what starts a run must be in a cgroup beside --cgroup, below the same delegated directory.",
     0, FOR_ALL},
    {"cgroup-kill", look_cgroup_kill, "A run is ended by its pid namespace.", "Use Linux 5.14 or newer.", 0, FOR_ALL},
    {"limit-memory", look_limit, "A run can take all of the host's memory.", "See `cgroup`.", LIMIT_MEMORY, FOR_ALL},
    {"limit-pids", look_limit, "Each user inside may have as many processes as the limit says.", "See `cgroup`.",
     LIMIT_PIDS, FOR_ALL},
    {"limit-cpu", look_limit, "A run can take every processor.", "See `cgroup`.", LIMIT_CPU, FOR_ALL},
    {"limit-io", look_limit, "A run can take all of the disk's time.", "See `cgroup`.", LIMIT_IO_READ_BPS, FOR_ALL},
    {"project-quota", look_project_quota,
     "A run that is limited in disk is slower to start, or not limited; what it writes to binds is not counted.",
     "Use xfs with the mount option prjquota, or ext4 with it after `tune2fs -O quota,project -Q prjquota` unmounted.",
     0, FOR_ROOT},
    {"run", look_run, NO_START, "", 0, FOR_ALL},
};
enum { CHECK_COUNT = sizeof CHECKS / sizeof CHECKS[0] };

void found(struct finding *finding, enum verdict verdict, const char *format, ...) {
  va_list rest;
  va_start(rest, format);
  vsnprintf(finding->says, sizeof finding->says, format, rest);
  va_end(rest);
  finding->verdict = verdict;
}

void found_by(struct finding *finding, const struct failure *failure, enum verdict otherwise, const char *works) {
  char sentence[640];
  if (failure->step[0] == '\0') {
    found(finding, WORKS, "%s", works);
    return;
  }
  failure_sentence(failure, sentence, sizeof sentence);
  found(finding, otherwise, "It was tried: %.440s", sentence);
}

void found_weak(struct host *host, struct finding *finding, unsigned weakness, const char *sentence) {
  struct weak_name name;
  bool lacks = (host->allow_weak & WEAK_BIT(weakness)) == 0;
  weak_name(weakness, &name);
  found(finding, lacks ? LACKS : IS_WEAK, lacks ? "%.380s. To go on without: --allow-weak %s" : "%.380s. Allowed: %s",
        sentence, name.text);
  if (lacks) host->lacks |= WEAK_BIT(weakness);
}

static const char *how(const struct check *check, const struct finding *finding) {
  return finding->how != NULL ? finding->how : check->how;
}

struct results {
  struct finding at[CHECK_COUNT];
  bool asked[CHECK_COUNT], lacks, works; /* works: what lacks can be allowed */
};

static void look(struct host *host, struct results *results) {
  int whom = host->is_root ? FOR_ROOT : FOR_USERS;
  for (size_t i = 0; i < CHECK_COUNT; i++) {
    results->asked[i] = (CHECKS[i].for_whom & whom) != 0;
    if (!results->asked[i]) continue;
    CHECKS[i].look(host, &CHECKS[i], &results->at[i]);
    results->lacks |= results->at[i].verdict == LACKS;
  }
  results->works = results->at[CHECK_COUNT - 1].verdict == WORKS;
}

static const char *const VERDICTS[] = {[WORKS] = "works", [IS_WEAK] = "weak", [LACKS] = "lacks"};

static void print_one(size_t at, const struct finding *finding) {
  struct json json;
  json_begin(&json);
  json_string(&json, "id", CHECKS[at].id);
  json_string(&json, "verdict", VERDICTS[finding->verdict]);
  json_string(&json, "says", finding->says);
  if (finding->verdict != WORKS) {
    json_string(&json, "follows", CHECKS[at].follows);
    json_string(&json, "how", how(&CHECKS[at], finding));
  }
  printf("%.*s}", (int)json.used, json.text);
}

/* One object, in pieces: it is longer than an event may be. */
static void print_json(const struct host *host, const struct results *results) {
  struct json json;
  const char *comma = "";
  json_begin(&json);
  json_raw(&json, "ok", results->lacks ? "false" : "true");
  json_raw(&json, "root", host->is_root ? "true" : "false");
  json_weak(&json, "allow", host->lacks);
  printf("%.*s,\"checks\":[", (int)json.used, json.text);
  for (size_t i = 0; i < CHECK_COUNT; i++) {
    if (!results->asked[i]) continue;
    printf("%s", comma);
    print_one(i, &results->at[i]);
    comma = ",";
  }
  puts("]}");
}

static void print_text(const struct results *results) {
  for (size_t i = 0; i < CHECK_COUNT; i++) {
    const struct finding *finding = &results->at[i];
    if (!results->asked[i]) continue;
    printf("%-5s  %-16s  %s.\n", VERDICTS[finding->verdict], CHECKS[i].id, finding->says);
    if (finding->verdict == WORKS) continue;
    if (CHECKS[i].follows[0] != '\0') printf("       %s\n", CHECKS[i].follows);
    if (how(&CHECKS[i], finding)[0] != '\0') printf("       %s\n", how(&CHECKS[i], finding));
  }
  if (!results->lacks)
    puts("toroid-sandbox run works here.");
  else
    puts(results->works ? "toroid-sandbox run works here only with these limits left out or allowed to lack."
                        : "toroid-sandbox run will not work here.");
}

int check_command(int argc, char **argv) {
  static struct host host = {.state = "/var/tmp", .tried = {.fd = -1, .base_fd = -1}};
  static struct results results;
  struct sentence why = {"usage: toroid-sandbox check [--json] [--state DIR] [--cgroup DIR] [--allow-weak NAME]..."};
  bool json = false;
  for (int i = 0; i < argc; i++) {
    if (strcmp(argv[i], "--json") == 0)
      json = true;
    else if (strcmp(argv[i], "--state") == 0 && i + 1 < argc)
      host.state = argv[++i];
    else if (strcmp(argv[i], "--cgroup") == 0 && i + 1 < argc)
      host.cgroup = argv[++i];
    else if (strcmp(argv[i], "--allow-weak") != 0 || i + 1 == argc ||
             weak_allow(&host.allow_weak, argv[++i], &why) != 0) {
      complain("%s", why.text);
      return EXIT_OURS;
    }
  }
  host.is_root = geteuid() == 0;
  look(&host, &results);
  if (json)
    print_json(&host, &results);
  else
    print_text(&results);
  return results.lacks ? 1 : 0;
}
