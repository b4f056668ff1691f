/**
 * A docker engine of the test's own: in mount and pid namespaces, mostly in a network namespace too, that end with it, so
 * that of a program that likes to stay nothing stays. It touches nothing of the host but cgroups of its own name.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { unpacked } from "./debian.ts";
import { until } from "./until.ts";

const PACKAGES = ["docker.io", "containerd", "runc", "tini", "libdevmapper1.02.1", "libsystemd0"];
const FIREWALL = [
  "iptables",
  "libip4tc2",
  "libip6tc2",
  "libmnl0",
  "libnetfilter-conntrack3",
  "libnfnetlink0",
  "libnftnl11",
  "libxtables12",
];
const START_MS = 60_000;
const STOP_MS = 30_000;
const LIBRARIES = join("usr", "lib", "x86_64-linux-gnu");

/**
 * The last to leave: when whoever started it is gone, killed or not, it removes the engine's directory and the cgroups
 * that the kernel lets go of once their processes are dead.
 */
const WATCHDOG = `cat > /dev/null
for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  found=$(find /sys/fs/cgroup -maxdepth 2 -type d -name "$2")
  [ -n "$found" ] || break
  find $found -depth -type d -exec rmdir {} + 2> /dev/null || sleep 0.5
done
rm -rf "$1"`;

export interface EngineOptions {
  /** Made for it, and removed in the end. */
  readonly dir: string;
  /** What it has besides: bridges of its own in a network of its own; nothing there; or the host's, for builds that fetch. */
  readonly network: "bridges" | "none" | "host";
  /** Of its containers' cgroups; starts with `toroid`. */
  readonly cgroup: string;
}

/** Where engines keep images and containers, one engine at a time. Gone at the end, however it comes. */
export class Engines implements AsyncDisposable {
  readonly #o: Omit<EngineOptions, "network">;
  readonly #watchdog: ChildProcess;

  constructor(o: Omit<EngineOptions, "network">) {
    this.#o = o;
    this.#watchdog = spawn("sh", ["-c", WATCHDOG, "sh", o.dir, o.cgroup], {
      detached: true,
      stdio: ["pipe", "ignore", "inherit"],
    });
  }

  start(network: EngineOptions["network"]): Promise<Engine> {
    return startEngine({ ...this.#o, network });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#watchdog, "close");
    this.#watchdog.stdin?.end();
    await gone;
  }
}

export interface Engine extends AsyncDisposable {
  /** Words that ask it something. */
  readonly client: readonly string[];
  /** For other clients. */
  readonly host: string;
  /** The first of its namespaces, as the host sees it. */
  readonly pid: number;
  /** Ends it in order, with all that it has written. Otherwise it is killed. */
  stop(): Promise<void>;
}

async function startEngine({ dir, network, cgroup }: EngineOptions): Promise<Engine> {
  const root = await unpacked("docker", PACKAGES);
  const programs = [join(root, "usr", "bin"), join(root, "usr", "sbin")];
  const libraries = [join(root, LIBRARIES)];
  await mkdir(dir, { recursive: true, mode: 0o711 });
  const plugins: Record<string, string> = {};
  if (network === "bridges") {
    const firewall = await unpacked("docker-firewall", FIREWALL);
    programs.push(await firewallPrograms(firewall, join(dir, "bin")));
    libraries.push(join(firewall, LIBRARIES));
    plugins["XTABLES_LIBDIR"] = join(firewall, LIBRARIES, "xtables");
  }
  const host = `unix://${join(dir, "socket")}`;
  const words = ["--data-root", join(dir, "data"), "--exec-root", "/run/docker", "-p", "/run/docker.pid"];
  words.push("-H", host, "--cgroup-parent", `/${cgroup}`);
  if (network !== "bridges") {
    words.push("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false");
  }
  const own = network === "host" ? [] : ["--net"];
  const namespaces = [...own, "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"];
  const loopback = network === "host" ? "" : "ip link set lo up && ";
  const line = `${loopback}mount -t tmpfs run /run && exec dockerd "$@"`;
  // It is to end with us, and its whole pid namespace with it.
  const engine = execa("setpriv", ["--pdeathsig", "KILL", "unshare", ...namespaces, "sh", "-c", line, "sh", ...words], {
    env: {
      PATH: [...programs, process.env["PATH"] ?? ""].join(":"),
      LD_LIBRARY_PATH: libraries.join(":"),
      ...plugins,
    },
    stdio: ["ignore", "ignore", "pipe"],
    buffer: false,
    reject: false,
  });
  let said = "";
  engine.stderr?.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-4_000);
  });
  const client = [join(root, "usr", "bin", "docker"), "-H", host];
  /** Then `unshare`, who waits for it, ends by itself. */
  const signal = async (name: NodeJS.Signals): Promise<void> => {
    for (const pid of await childrenOf(engine.pid)) process.kill(pid, name);
  };
  const running = {
    async [Symbol.asyncDispose]() {
      await signal("SIGKILL");
      await engine;
    },
  };
  try {
    await until("a docker engine", () => ask(client), { withinMs: START_MS, everyMs: 100 });
    const [pid] = await childrenOf(engine.pid);
    if (pid === undefined) throw new Error("it ended");
    const stop = async (): Promise<void> => {
      const late = setTimeout(() => void signal("SIGKILL"), STOP_MS);
      await signal("SIGTERM");
      await engine;
      clearTimeout(late);
    };
    return { ...running, client, host, pid, stop };
  } catch (cause) {
    await running[Symbol.asyncDispose]();
    throw new Error(`no docker engine starts here: ${said.trim().split("\n").at(-1) ?? ""}`, { cause });
  }
}

async function childrenOf(pid: number | undefined): Promise<readonly number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return children.split(" ").filter(Boolean).map(Number);
}

/** One program by many names. */
async function firewallPrograms(firewall: string, into: string): Promise<string> {
  await mkdir(into, { recursive: true });
  for (const name of ["iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save"]) {
    await symlink(join(firewall, "usr", "sbin", "xtables-nft-multi"), join(into, name));
  }
  return into;
}

async function ask([docker = "", ...words]: readonly string[]): Promise<boolean> {
  return (await execa(docker, [...words, "version"], { reject: false, timeout: 5_000 })).exitCode === 0;
}
