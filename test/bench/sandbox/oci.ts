/**
 * A bundle for crun and runc that asks for what a run of ours has: the same namespaces, mounts and limits, and the
 * seccomp profile that container engines ship.
 */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { unpacked } from "../../support/debian.ts";

/** What of a profile's rules depends on the machine. */
const rule = z.object({
  names: z.array(z.string()),
  action: z.string(),
  args: z.array(z.unknown()).nullish(),
  errnoRet: z.number().optional(),
  includes: z.object({ caps: z.array(z.string()).optional(), arches: z.array(z.string()).optional() }).optional(),
});
const profile = z.object({
  defaultAction: z.string(),
  defaultErrnoRet: z.number().optional(),
  syscalls: z.array(rule),
});
const CAPABILITIES = [
  "CHOWN",
  "DAC_OVERRIDE",
  "FOWNER",
  "FSETID",
  "KILL",
  "SETGID",
  "SETUID",
  "SETPCAP",
  "NET_BIND_SERVICE",
  "NET_RAW",
  "SYS_CHROOT",
  "SETFCAP",
].map((name) => `CAP_${name}`);
const UIDS = [{ containerID: 0, hostID: 1_879_048_192, size: 65_536 }];

export interface Asked {
  readonly image: string;
  readonly command: readonly string[];
  readonly memoryBytes: number;
  readonly pids: number;
  /** Below the hierarchies' roots. */
  readonly cgroup: string;
}

/** The image itself is the root, read-only: nothing is laid over it, which is less than we do. */
export async function makeBundle(dir: string, asked: Asked): Promise<string> {
  const bundle = join(dir, "bundle");
  await mkdir(bundle);
  await writeFile(join(bundle, "config.json"), JSON.stringify(config(asked, await enginesProfile())));
  return bundle;
}

function config({ image, command, memoryBytes, pids, cgroup }: Asked, seccomp: unknown): unknown {
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid: 0, gid: 0 },
      args: command,
      env: ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
      cwd: "/",
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      noNewPrivileges: true,
    },
    root: { path: image, readonly: true },
    hostname: "bench",
    mounts: [
      mount("/proc", "proc"),
      mount("/dev", "tmpfs", "nosuid", "mode=755", "size=65536"),
      mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
      mount("/dev/shm", "tmpfs", "nosuid", "nodev", "mode=1777"),
      mount("/tmp", "tmpfs", "nosuid", "nodev", "mode=1777"),
      mount("/run", "tmpfs", "nosuid", "nodev", "mode=755"),
    ],
    linux: {
      uidMappings: UIDS,
      gidMappings: UIDS,
      namespaces: ["user", "pid", "mount", "ipc", "uts", "network", "cgroup"].map((type) => ({ type })),
      cgroupsPath: cgroup,
      resources: { memory: { limit: memoryBytes }, pids: { limit: pids } },
      maskedPaths: ["/proc/kallsyms", "/proc/keys"],
      readonlyPaths: ["/proc/sys"],
      seccomp,
    },
  };
}

function mount(destination: string, type: string, ...options: readonly string[]): unknown {
  return { destination, type, source: type, options };
}

/** As an engine passes it on for a container with the capabilities of ours. */
async function enginesProfile(): Promise<unknown> {
  const root = await unpacked("containers-common", ["golang-github-containers-common"]);
  const text = await readFile(join(root, "usr", "share", "containers", "seccomp.json"), "utf8");
  const { defaultAction, defaultErrnoRet, syscalls } = profile.parse(JSON.parse(text));
  const [ours, architectures] =
    process.arch === "arm64"
      ? ["arm64", ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]]
      : ["amd64", ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]];
  const rules = syscalls.filter(({ includes: { caps = [], arches = [] } = {} }) => {
    const hasCapabilities = caps.every((name) => CAPABILITIES.includes(name));
    return hasCapabilities && (arches.length === 0 || arches.includes(ours));
  });
  return {
    defaultAction,
    defaultErrnoRet,
    architectures,
    syscalls: rules.map(({ names, action, args, errnoRet }) => ({ names, action, args: args ?? [], errnoRet })),
  };
}
