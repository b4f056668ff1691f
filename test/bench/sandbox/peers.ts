/** What we compare with: one command line each, or why there is none. */
import { existsSync } from "node:fs";
import { execa } from "execa";
import { Missing, newerBubblewrap, program } from "../../support/debian.ts";
import { programPath } from "../../support/programs.ts";
import type { Case, Driver } from "./driver.ts";
import { makeBundle } from "./oci.ts";

/** What every run is to be given, as far as it can. */
export interface Task {
  readonly dir: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly memoryBytes: number;
  readonly pids: number;
  /** A mount namespace in which no cgroup v2 shows; undefined where the host is not a mixture of both. */
  readonly onlyCgroup1?: string;
  /** The client of an engine of our own. */
  readonly docker?: readonly string[];
}

/** A case, and what it is: for `setup`. */
export interface Peer {
  readonly case: Case;
  readonly is: string;
}

const DOCKER_IMAGE = "toroid-bench:image";

type Maker = (task: Task, driver: Driver) => Promise<Peer>;

/** All that bubblewrap can give. It has no cgroups, filters only what one brings along, and one uid. */
const BUBBLEWRAP = [
  ..."--unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-net --unshare-cgroup".split(" "),
  ..."--uid 0 --gid 0 --hostname bench --new-session --die-with-parent".split(" "),
  ..."--proc /proc --dev /dev --tmpfs /tmp --tmpfs /run".split(" "),
];

export const PEERS: Readonly<Record<string, Maker>> = {
  forkExec: async ({ command }) => ({
    case: { name: "forkExec", words: command },
    is: "vfork and exec of the command",
  }),

  bareClone: async ({ command }, driver) => ({
    case: { name: "bareClone", words: [driver.program("bare"), ...command] },
    is: "a static program: clone3 with user, pid, mount, ipc, uts, net, cgroup namespaces, exec",
  }),

  bubblewrapOverlay: async ({ image, command }, driver) => {
    const bwrap = await program("bwrap", "bubblewrap");
    const { stdout } = await execa(bwrap, ["--version"]);
    const words = [driver.program("overlay"), image, "{dir}", bwrap, "--bind", "root", "/", ...BUBBLEWRAP, ...command];
    return {
      case: { name: "bubblewrapOverlay", words },
      is: `${stdout.trim()} on an overlay that a static program mounts before it, upper on the same disk as ours and removed`,
    };
  },

  bubblewrapTmpOverlay: async ({ image, command }) => {
    const { words, version } = await newerBubblewrap();
    return {
      case: {
        name: "bubblewrapTmpOverlay",
        words: [...words, "--overlay-src", image, "--tmp-overlay", "/", ...BUBBLEWRAP, ...command],
      },
      is: `${version} --tmp-overlay, upper in memory`,
    };
  },

  crun: (task) => runtime("crun", task),
  runc: (task) => runtime("runc", task),

  docker: async (task) => {
    const docker = task.docker ?? [programPath("docker") ?? ""];
    if (docker[0] === "") throw new Missing("docker is not installed");
    const ask = (...words: readonly string[]) => execa(docker[0] ?? "", [...docker.slice(1), ...words]);
    const version = await ask("version", "--format", "{{.Server.Version}}").catch((cause: unknown) => {
      throw new Missing("no docker engine runs here; TOROID_BENCH_DOCKER=1 starts one", { cause });
    });
    const archive = execa("tar", ["-C", task.image, "-c", "."], { buffer: false });
    await execa(docker[0] ?? "", [...docker.slice(1), "import", "-", DOCKER_IMAGE], { input: archive.stdout });
    const limits = ["--memory", String(task.memoryBytes), "--pids-limit", String(task.pids), "--network", "none"];
    return {
      case: { name: "docker", words: [...docker, "run", "--rm", ...limits, DOCKER_IMAGE, ...task.command] },
      is: `docker ${version.stdout.trim()} run --rm --network none`,
    };
  },
};

/** What a peer leaves beside its runs. */
export async function tidyUp(peers: readonly Peer[], { docker }: Task): Promise<void> {
  const [file = programPath("docker") ?? "", ...words] = docker ?? [];
  if (peers.some((peer) => peer.case.name === "docker"))
    await execa(file, [...words, "image", "rm", DOCKER_IMAGE], { reject: false });
}

async function runtime(name: "crun" | "runc", task: Task): Promise<Peer> {
  const path = await program(name);
  const { stdout } = await execa(path, ["--version"]);
  const bundle = await makeBundle(`${task.dir}/${name}`, { ...task, cgroup: `/toroid-bench-${name}-${process.pid}` });
  const words = [path, "--root", `${task.dir}/${name}/state`, "run", "--bundle", bundle, "{name}"];
  const needsOne = name === "crun" && task.onlyCgroup1 !== undefined; // it refuses a host with both kinds
  return {
    case: { name, words, ...(needsOne ? { within: [task.onlyCgroup1 ?? ""] } : {}) },
    is: `${stdout.split("\n")[0]?.trim()}, user namespace, the seccomp profile of container engines, limits; no overlay${needsOne ? ", shown cgroup v1 alone" : ""}`,
  };
}

export function hasBothCgroups(): boolean {
  return existsSync("/sys/fs/cgroup/unified/cgroup.procs");
}
