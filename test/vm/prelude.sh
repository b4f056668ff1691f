# What every script of a test in the guest starts with. It runs in a directory of its own; each file in it reaches the
# test: of a run called NAME, NAME.status (the verdict's lines), NAME.out, NAME.err and NAME.code.

CGROUPS=/sys/fs/cgroup
DELEGATED=$CGROUPS/delegated
STATE=/var/tmp/state
JOB=$PWD

# start NAME OPTION... -- CMD...: a run in the background. IMAGE and CGROUP (empty: none given) may say otherwise.
start() {
  name=$1
  shift
  [ -d "$STATE/$name" ] || mkdir -m 700 "$STATE/$name"
  set -- --image "${IMAGE-/image}" --scratch "$STATE/$name" --json-status-fd 3 "$@"
  [ -z "${CGROUP-$DELEGATED}" ] || set -- --cgroup "${CGROUP-$DELEGATED}" "$@"
  : > "$JOB/$name.status"
  (
    cd /
    sh -c 'echo $$ > "$0.pid"; exec toroid-sandbox run "$@"' "$JOB/$name" "$@" \
      3> "$JOB/$name.status" > "$JOB/$name.out" 2> "$JOB/$name.err"
    echo $? > "$JOB/$name.code"
  ) &
}

# run NAME OPTION... -- CMD...: the same, and waits for it.
run() {
  start "$@"
  wait $!
}

# heard NAME EVENT: waits for that line of the verdict. printed NAME TEXT: for that output.
heard() { until grep -q "\"event\":\"$2\"" "$JOB/$1.status"; do sleep 0.02; done; }
printed() { until grep -q "$2" "$JOB/$1.out"; do sleep 0.02; done; }

# of NAME MEMBER: a text or number from its verdict. cgroup_of NAME: where its limits are.
of() { sed -n "s/.*\"$2\":\"\{0,1\}\([^\",}]*\).*/\1/p" "$JOB/$1.status" | head -n 1; }
cgroup_of() { of "$1" cgroup; }
helper_of() { cat "$JOB/$1.pid"; }

# gone PID: waits for the end of a process.
gone() { while [ -d "/proc/$1" ]; do sleep 0.02; done; }

# What of us there is in the guest, one thing a line; nothing when all is gone.
traces() {
  for path in $DELEGATED/*/ $CGROUPS/toroid/ $STATE/* $STATE/.[!.]*; do
    [ ! -e "$path" ] || echo "$path"
  done
  grep -v -x -F -f /run/mounts /proc/mounts
  # of one that ends meanwhile the link leads nowhere
  ls -l /proc/[0-9]*/ns/user 2> /dev/null | grep -F -e '->' | grep -v -F "$(readlink /proc/1/ns/user)"
  grep -l -x toroid-sandbox /proc/[0-9]*/comm 2> /dev/null
}
