import { chmod, copyFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { execa } from "execa";
import { type Entry, packInitramfs } from "./vm-initramfs.ts";
import type { Parts } from "./vm-packages.ts";

const DISK_BYTES = "1G"; // sparse
const DISK_MS = 60_000;
const FOLDERS = [
  "bin",
  "dev",
  "etc",
  "home",
  "proc",
  "root",
  "run",
  "sbin",
  "sys",
  "tmp",
  "var/tmp",
  "var/log",
] as const;

/** The first program: loads the drivers and hands over to the disk. */
const FIRST_INIT = `#!/busybox sh
/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /busybox insmod $module; done
until [ -b /dev/vda ]; do /busybox sleep 0.01; done
/busybox mount -t ext4 -o prjquota /dev/vda /root || /busybox poweroff -f
exec /busybox switch_root /root /sbin/init
`;

/**
 * Mounts what a machine has, with cgroup v2 as systemd sets it up, and does jobs: each a line of id, seconds and the
 * script in base64. The answer is a line per file that the job left, then its exit code. It powers off by itself after
 * LIFE seconds: an emulator that nobody ends, ends.
 */
const INIT = `#!/bin/sh
export PATH=/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=755 run /run
mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
ip link set lo up
hostname guest
(sleep LIFE; poweroff -f) &
exec < /dev/ttyS0 > /dev/ttyS0 2> /dev/console
stty raw -echo
echo "ready - $(uname -r)"
# Not by the first process: whoever loses his parent becomes its child, and at the end of one of these busybox's read
# forgets what it has of the line.
(
  while read -r id seconds script; do
    rm -rf /run/job
    mkdir /run/job
    cd /run/job
    echo "$script" | base64 -d > /run/script
    timeout -s KILL "$seconds" setsid sh /run/script > stdout 2> stderr < /dev/null
    code=$?
    for file in *; do
      [ ! -f "$file" ] || echo "$id $file $(base64 -w 0 "$file")"
    done
    echo "$id - $code"
  done
)
poweroff -f
`;

/** The archive to boot from. */
export async function makeInitramfs({ busybox, modules }: Parts): Promise<Uint8Array> {
  const folders = ["dev", "root", "modules"].map((name): Entry => ({ name }));
  const drivers = modules.map(async (path, index): Promise<Entry> => {
    const name = `modules/${String(index).padStart(2, "0")}-${basename(path)}`;
    return { name, content: await readFile(path) };
  });
  return packInitramfs([
    ...folders,
    { name: "busybox", content: await readFile(busybox) },
    { name: "init", content: Buffer.from(FIRST_INIT) },
    ...(await Promise.all(drivers)),
  ]);
}

/** The guest's root as an ext4 image that can hold project quotas. `files`: by their place in the guest, from where. */
export async function makeDisk(
  dir: string,
  { busybox }: Parts,
  files: Readonly<Record<string, string>>,
  lifeSeconds: number,
): Promise<string> {
  const root = join(dir, "root");
  for (const name of FOLDERS) await mkdir(join(root, name), { recursive: true });
  await put(busybox, join(root, "bin", "busybox"));
  const { stdout } = await execa(busybox, ["--list"]);
  const applets = stdout.split("\n").filter((name) => name !== "busybox");
  await Promise.all(applets.map((name) => symlink("busybox", join(root, "bin", name))));
  await writeFile(join(root, "sbin", "init"), INIT.replace("LIFE", String(lifeSeconds)), { mode: 0o755 });
  await writeFile(join(root, "etc", "passwd"), "root:x:0:0::/root:/bin/sh\n");
  await writeFile(join(root, "etc", "shadow"), "root:$6$secret:19000:0:99999:7:::\n", { mode: 0o640 });
  for (const [place, source] of Object.entries(files)) await put(source, join(root, place));
  const disk = join(dir, "disk.img");
  const features = ["-O", "quota,project", "-E", "quotatype=prjquota,root_owner=0:0,lazy_itable_init=1,nodiscard"];
  await execa("mke2fs", ["-q", "-t", "ext4", ...features, "-d", root, disk, DISK_BYTES], { timeout: DISK_MS });
  return disk;
}

async function put(source: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await copyFile(source, target);
  await chmod(target, 0o755);
}
