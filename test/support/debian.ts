/** Parts of Debian for tests and benchmarks: installed, or unpacked into the project's cache. */
import { access, chmod, mkdir, mkdtemp, readdir, realpath, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { programPath } from "./programs.ts";

const CACHE = join(import.meta.dirname, "..", "..", ".toroid", "cache", "debian");
const APT_MS = 300_000;
/** The suite whose bubblewrap has `--tmp-overlay`, which came with 0.11. */
const NEWER_SUITE = "trixie";
const IMAGE_SUITE = "bookworm";
const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** What cannot be had here, and why: a sentence. */
export class Missing extends Error {}

/** The program, installed now where we may and it is not there. */
export async function program(name: string, installs = name): Promise<string> {
  const there = programPath(name);
  if (there !== undefined) return there;
  if (process.getuid?.() !== 0 || programPath("apt-get") === undefined) throw new Missing(`${name} is not installed`);
  console.error(`test: installing ${installs} with apt-get`);
  await apt("apt-get", ["-qq", "-y", "-o", "DPkg::Lock::Timeout=300", "install", "--no-install-recommends", installs]);
  const installed = programPath(name);
  if (installed === undefined) throw new Missing(`the package ${installs} brings no ${name}`);
  return installed;
}

/** A Debian of the essential packages as a directory, made once. Nothing stays mounted. */
export async function debianImage(): Promise<string> {
  const image = await once(join(CACHE, `image-${IMAGE_SUITE}`), async (making) => {
    const mmdebstrap = await program("mmdebstrap");
    console.error(`test: making a Debian image, once`);
    await apt(mmdebstrap, [
      "--quiet",
      "--mode=root",
      "--variant=minbase",
      "--format=directory",
      IMAGE_SUITE,
      making,
      await mirror(),
    ]);
  });
  return realpath(image);
}

/** The words that start the newer bubblewrap: its package and the libraries of its suite, by their own loader. */
export async function newerBubblewrap(): Promise<{ readonly words: readonly string[]; readonly version: string }> {
  const root = await once(join(CACHE, `bubblewrap-${NEWER_SUITE}`), fetchBubblewrap);
  const folders = (await readdir(join(root, "usr", "lib"))).filter((name) => name.endsWith("-linux-gnu"));
  const libraries = join(root, "usr", "lib", folders[0] ?? "");
  const loader = (await readdir(libraries)).find((name) => name.startsWith("ld-linux-"));
  if (loader === undefined) throw new Missing(`there is no loader in ${libraries}`);
  const words = [join(libraries, loader), "--library-path", libraries, join(root, "usr", "bin", "bwrap")];
  const { stdout } = await execa(words[0] ?? "", [...words.slice(1), "--version"]);
  return { words, version: stdout.trim() };
}

/** Packages of the system's own suite, unpacked and not installed. */
export async function unpacked(name: string, packages: readonly string[]): Promise<string> {
  return once(join(CACHE, name), async (making) => {
    console.error(`test: fetching ${packages.join(" ")}, once`);
    const settings = ["-o", "APT::Sandbox::User=root"];
    await unpackInto(making, settings, packages).catch(async () => {
      // The system's lists may be old, or not there yet.
      await apt("apt-get", ["-qq", "-o", "DPkg::Lock::Timeout=300", "update"]);
      await unpackInto(making, settings, packages);
    });
  });
}

async function unpackInto(place: string, settings: readonly string[], packages: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(CACHE, "debs-"));
  try {
    await apt("apt-get", [...settings, "-qq", "download", ...packages], folder);
    for (const name of await readdir(folder)) await execa("dpkg-deb", ["-x", join(folder, name), place]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** With lists of its own: the system keeps its suites. */
async function fetchBubblewrap(making: string): Promise<void> {
  const folder = await mkdtemp(join(CACHE, "apt-"));
  try {
    for (const name of ["lists/partial", "archives/partial"]) await mkdir(join(folder, name), { recursive: true });
    await writeFile(join(folder, "sources.list"), `deb [signed-by=${KEYRING}] ${await mirror()} ${NEWER_SUITE} main\n`);
    const settings = [
      `Dir::Etc::SourceList=${join(folder, "sources.list")}`,
      "Dir::Etc::SourceParts=/dev/null",
      `Dir::State::Lists=${join(folder, "lists")}`,
      `Dir::Cache=${folder}`,
      "APT::Sandbox::User=root",
    ].flatMap((setting) => ["-o", setting]);
    console.error(`test: fetching the bubblewrap of ${NEWER_SUITE}, once`);
    await apt("apt-get", [...settings, "-qq", "update"]);
    await unpackInto(making, settings, ["bubblewrap", "libc6", "libcap2", "libselinux1", "libpcre2-8-0"]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Where this system has Debian from. */
export async function mirror(): Promise<string> {
  if (programPath("apt-get") === undefined) throw new Missing("there is no apt-get here");
  const { stdout } = await apt("apt-get", [
    "indextargets",
    "--format",
    "$(REPO_URI) $(COMPONENT)",
    "Created-By: Packages",
  ]);
  const uris = stdout.split("\n").map((line) => line.split(" "));
  const debian = uris.find(([uri = "", component]) => component === "main" && /\/debian\/?$/.test(uri))?.[0];
  if (debian === undefined) throw new Missing("apt has no Debian mirror here");
  return debian;
}

/** All or nothing: made beside its place, and moved there at the end. */
export async function once(place: string, make: (making: string) => Promise<void>): Promise<string> {
  if (await isThere(place)) return place;
  await mkdir(dirname(place), { recursive: true });
  const making = await mkdtemp(`${place}-making-`);
  try {
    await make(making);
    await chmod(making, 0o755);
    await rename(making, place);
    return place;
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    throw error;
  }
}

async function apt(file: string, words: readonly string[], cwd?: string): Promise<{ readonly stdout: string }> {
  const env = { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
  return execa(file, words, { env, timeout: APT_MS, ...(cwd === undefined ? {} : { cwd }) }).catch((cause: unknown) => {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : "";
    throw new Missing(said.split("\n")[0] || `${file} failed`, { cause });
  });
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
