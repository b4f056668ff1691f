import { access, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { programPath } from "./programs.ts";

const CACHE = join(import.meta.dirname, "..", "..", ".toroid", "cache");
const UNPACKED = join(CACHE, "vm");
const EMULATOR = "qemu-system-x86_64";
const APT_MS = 240_000;
/** Which drivers every guest of ours loads; what these stand on is found by their own word. */
const MODULES = ["virtio_pci", "virtio_blk", "overlay", "quota_v2"] as const;

/** What a guest is made from: Debian's packages of the running suite, unpacked and never installed. */
export interface Parts {
  /** As `uname -r` says it in the guest. */
  readonly release: string;
  readonly kernel: string;
  /** Files to load, in this order. */
  readonly modules: readonly string[];
  readonly busybox: string;
  readonly emulator: string;
}

/** A machine that cannot have the parts: the sentence says what is missing, for a skip. */
export class PartsMissing extends Error {}

/**
 * Finds the parts, and fetches once what is not there: the kernel and busybox into the project's cache, the emulator,
 * by its package, where we are root.
 *
 * @param drivers that this guest loads besides
 * @throws {PartsMissing} where they cannot be had.
 */
export async function findParts(drivers: readonly string[] = []): Promise<Parts> {
  if (process.arch !== "x64") throw new PartsMissing("needs an x86-64 processor, whose guest it starts");
  for (const program of ["mke2fs", "setpriv"]) {
    if (programPath(program) === undefined) throw new PartsMissing(`needs the program ${program}`);
  }
  await using _lock = await holdLock("toroid-test-vm-packages");
  const emulator = await findEmulator();
  if (!(await isThere(UNPACKED))) await fetchPackages();
  const [release] = await readdir(join(UNPACKED, "lib", "modules"));
  if (release === undefined) throw new PartsMissing(`needs a kernel with modules in ${UNPACKED}`);
  return {
    release,
    emulator,
    kernel: join(UNPACKED, "boot", `vmlinuz-${release}`),
    modules: await loadOrder(join(UNPACKED, "lib", "modules", release), [...MODULES, ...drivers]),
    busybox: join(UNPACKED, "bin", "busybox"),
  };
}

async function findEmulator(): Promise<string> {
  const there = programPath(EMULATOR);
  if (there !== undefined) return there;
  if (process.getuid?.() === 0 && programPath("apt-get") !== undefined) {
    const install = ["-qq", "-y", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends"];
    await withFreshLists(() => apt("apt-get", [...install, "qemu-system-x86"])).catch(() => undefined); // the next line says that it is still not there
  }
  const installed = programPath(EMULATOR);
  if (installed !== undefined) return installed;
  throw new PartsMissing(`needs the program ${EMULATOR}`);
}

/** All or nothing: unpacked beside its place, and moved there at the end. */
async function fetchPackages(): Promise<void> {
  for (const program of ["apt-get", "apt-cache", "dpkg-deb"]) {
    if (programPath(program) === undefined) throw new PartsMissing(`needs the program ${program}, to fetch a kernel`);
  }
  await mkdir(CACHE, { recursive: true });
  const folder = await mkdtemp(join(CACHE, "vm-fetching-"));
  try {
    const packages = await withFreshLists(async () => [await newestKernel(), "busybox-static"]).catch(because);
    await apt("apt-get", ["-qq", "download", ...packages], folder).catch(because);
    const target = join(folder, "unpacked");
    for (const name of (await readdir(folder)).filter((file) => file.endsWith(".deb")))
      await execa("dpkg-deb", ["-x", join(folder, name), target]);
    await rename(target, UNPACKED);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function because(cause: unknown): never {
  const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause);
  throw new PartsMissing(`needs Debian's packages of a cloud kernel and of busybox: ${said.split("\n")[0]}`, { cause });
}

/** Of the oldest line that the helper promises to work on: what holds there is what has to be proved. */
async function newestKernel(): Promise<string> {
  const { stdout } = await apt("apt-cache", ["--names-only", "search", "^linux-image-6\\.1\\.[-0-9.]*-cloud-amd64$"]);
  const names = stdout.split("\n").map((line) => line.split(" ")[0] ?? "");
  const newest = names.filter(Boolean).toSorted((a, b) => b.localeCompare(a, "en", { numeric: true }))[0];
  if (newest === undefined) throw new Error("apt offers no linux-image-6.1…-cloud-amd64");
  return newest;
}

/** Tries with the package lists as they are; then, where we may, with new ones. */
async function withFreshLists<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (process.getuid?.() !== 0) throw error;
    await apt("apt-get", ["-qq", "update"]);
    return action();
  }
}

async function apt(program: string, words: readonly string[], cwd?: string): Promise<{ readonly stdout: string }> {
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  return execa(program, words, { env, timeout: APT_MS, ...(cwd === undefined ? {} : { cwd }) });
}

/** Each driver after those it stands on. */
async function loadOrder(root: string, names: readonly string[]): Promise<string[]> {
  const files = await readdir(root, { recursive: true });
  const fileOf = new Map(files.map((file) => [/([^/]+)\.ko$/.exec(file)?.[1]?.replaceAll("-", "_"), join(root, file)]));
  const order = new Set<string>();
  const add = async (name: string): Promise<void> => {
    const file = fileOf.get(name);
    if (file === undefined) throw new Error(`the kernel's package has no module ${name}`);
    for (const below of await standsOn(file)) await add(below);
    order.add(file);
  };
  for (const name of names) await add(name);
  return [...order];
}

async function standsOn(module: string): Promise<string[]> {
  const depends = /\0depends=([^\0]*)\0/.exec(await readFile(module, "latin1"))?.[1] ?? "";
  return depends.split(",").filter(Boolean);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** A name in the kernel's list of sockets, which one process has at a time and loses when it ends, however. */
async function holdLock(name: string): Promise<AsyncDisposable> {
  for (;;) {
    const server = createServer();
    const isOurs = await new Promise<boolean>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) =>
        error.code === "EADDRINUSE" ? resolve(false) : reject(error),
      );
      server.listen(`\0${name}`, () => resolve(true));
    });
    if (isOurs) return server;
    await sleep(100);
  }
}
