/**
 * An engine of the benchmark's own, where `TOROID_BENCH_DOCKER=1` asks for one: in network, mount and pid namespaces
 * that end with it, so that of a program that likes to stay nothing stays.
 */
import { mkdir, readdir, readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { unpacked } from "../../support/debian.ts";
import { until } from "../../support/until.ts";

const PACKAGES = ["docker.io", "containerd", "runc", "tini", "libdevmapper1.02.1", "libsystemd0"];
const START_MS = 30_000;
const CGROUPS = "/sys/fs/cgroup";

export interface Engine extends AsyncDisposable {
  /** Words that ask it something. */
  readonly client: readonly string[];
}

export async function startEngine(dir: string): Promise<Engine> {
  const root = await unpacked("docker", PACKAGES);
  const folder = join(dir, "engine");
  await mkdir(folder, { mode: 0o700 });
  const socket = `unix://${join(folder, "socket")}`;
  const cgroup = `toroid-bench-docker-${process.pid}`;
  const words = [
    "--data-root",
    join(folder, "data"),
    "--exec-root",
    "/run/docker",
    "-p",
    "/run/docker.pid",
    "-H",
    socket,
  ];
  words.push("--cgroup-parent", `/${cgroup}`, "--bridge=none", "--iptables=false", "--ip6tables=false");
  words.push("--ip-forward=false", "--ip-masq=false");
  const line = `ip link set lo up && mount -t tmpfs run /run && exec dockerd "$@"`;
  const namespaces = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
  const path = `${root}/usr/bin:${root}/usr/sbin:${process.env["PATH"] ?? ""}`;
  const engine = execa("unshare", [...namespaces, "sh", "-c", line, "sh", ...words], {
    env: { PATH: path, LD_LIBRARY_PATH: join(root, "usr", "lib", "x86_64-linux-gnu") },
    stdio: "ignore",
    reject: false,
  });
  const client = [join(root, "usr", "bin", "docker"), "-H", socket];
  const running: Engine = {
    client,
    async [Symbol.asyncDispose]() {
      // The first of its pid namespace, and with it all in there; then `unshare`, who waits for it, ends by itself.
      const children = await readFile(`/proc/${engine.pid}/task/${engine.pid}/children`, "utf8").catch(() => "");
      for (const pid of children.split(" ").filter(Boolean)) process.kill(Number(pid), "SIGKILL");
      await engine;
      await removeCgroups(cgroup);
    },
  };
  try {
    await until("a docker engine", () => ask(client), { withinMs: START_MS, everyMs: 100 });
    return running;
  } catch (error) {
    await running[Symbol.asyncDispose]();
    throw error;
  }
}

async function ask([docker = "", ...words]: readonly string[]): Promise<boolean> {
  return (await execa(docker, [...words, "version"], { reject: false, timeout: 5_000 })).exitCode === 0;
}

/** One in each hierarchy of cgroup v1, or one. What was in them was killed, which takes the kernel a moment. */
async function removeCgroups(name: string): Promise<void> {
  const hierarchies = ["", ...(await readdir(CGROUPS))].map((folder) => join(CGROUPS, folder, name));
  for (const path of hierarchies) {
    await until(`${path} to be empty`, async () => removed(path));
  }
}

async function removed(path: string): Promise<boolean> {
  for (const entry of await readdir(path, { withFileTypes: true }).catch(() => [])) {
    if (entry.isDirectory()) await removed(join(path, entry.name));
  }
  return rmdir(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code === "ENOENT" || error.code === "ENOTDIR",
  );
}
