import { accessSync, constants, statSync } from "node:fs";
import { chmod, copyFile, mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import { delimiter, join, resolve } from "node:path";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import { takeLock } from "../lock.ts";
import { fetchApt } from "./fetch-apt.ts";
import { fetchGo } from "./fetch-go.ts";
import { fetchRelease } from "./fetch-release.ts";
import { atLeast, MINIMUM_VERSION, PINNED_VERSION, versionOf } from "./version.ts";

export interface FoundServer {
  readonly path: string;
  readonly version: string;
}

/** A way to get the binary: fetches below the given empty directory and answers where it lies. */
export interface Way {
  readonly name: string;
  fetch(into: string): Promise<string>;
}

/** In this order. The first is the release itself, the others serve closed networks. */
export const WAYS: readonly Way[] = [
  { name: "the official release", fetch: fetchRelease },
  { name: "Debian's package", fetch: fetchApt },
  { name: "go install", fetch: fetchGo },
];

const CACHED = /^nats-server-(\d+\.\d+\.\d+)$/;
const UNFINISHED = "nats-fetch-";

/**
 * A nats-server that is new enough: the one `TOROID_NATS_SERVER` names, else the one on PATH, else the one in
 * `cacheDir`, else fetched into it by the first way that works here.
 *
 * @param say gets one line for a person before each slow step.
 * @throws {ToroidError} TOR_TOOL_MISSING, with what was tried and why it failed.
 */
export async function findNatsServer(
  cacheDir: string,
  say: (line: string) => void,
  ways: readonly Way[] = WAYS,
): Promise<FoundServer> {
  return (await named()) ?? (await onPath()) ?? (await cached(cacheDir)) ?? (await fetchOnce(cacheDir, say, ways));
}

async function named(): Promise<FoundServer | undefined> {
  const path = process.env["TOROID_NATS_SERVER"];
  if (path === undefined || path === "") return undefined;
  const version = await versionOf(path);
  if (version !== undefined && atLeast(version)) return { path: resolve(path), version };
  const what = version === undefined ? "not a nats-server that runs here" : `nats-server ${version}`;
  throw new ToroidError(
    "TOR_TOOL_MISSING",
    `TOROID_NATS_SERVER names ${path}, which is ${what}; Toroid needs nats-server ${MINIMUM_VERSION} or newer`,
    { path, version: version ?? null },
  );
}

/** Distributions put it where only root's PATH leads. */
const SYSTEM_FOLDERS = ["/usr/local/sbin", "/usr/sbin"];

async function onPath(): Promise<FoundServer | undefined> {
  const folders = (process.env["PATH"] ?? "").split(delimiter).filter((entry) => entry !== "");
  for (const folder of new Set([...folders, ...SYSTEM_FOLDERS])) {
    const path = join(folder, "nats-server");
    if (!isExecutable(path)) continue;
    const version = await versionOf(path);
    if (version !== undefined && atLeast(version)) return { path, version };
  }
  return undefined;
}

/** What lies in the cache got there by one rename after it had been run: its name can be believed. */
async function cached(cacheDir: string): Promise<FoundServer | undefined> {
  const names = await readdir(cacheDir).catch(() => []);
  const versions = names.map((name) => CACHED.exec(name)?.[1]).filter((version) => version !== undefined);
  const version = versions
    .filter((candidate) => atLeast(candidate))
    .sort((a, b) => (atLeast(a, b) ? -1 : 1))
    .at(0);
  if (version === undefined) return undefined;
  const path = join(resolve(cacheDir), `nats-server-${version}`, "nats-server");
  return isExecutable(path) ? { path, version } : undefined;
}

/** Fetches under a lock, so that of several processes one downloads and the others find its result. */
async function fetchOnce(cacheDir: string, say: (line: string) => void, ways: readonly Way[]): Promise<FoundServer> {
  await mkdir(cacheDir, { recursive: true });
  await using _lock = await takeLock(`nats-server ${resolve(cacheDir)}`);
  const found = await cached(cacheDir);
  if (found !== undefined) return found;
  for (const name of await readdir(cacheDir)) {
    if (name.startsWith(UNFINISHED)) await rm(join(cacheDir, name), { recursive: true, force: true });
  }

  const failures: string[] = [];
  for (const way of ways) {
    const into = await mkdtemp(join(resolve(cacheDir), UNFINISHED));
    try {
      say(`fetching nats-server ${PINNED_VERSION} by ${way.name}`);
      return await keep(await way.fetch(into), into, cacheDir);
    } catch (error) {
      failures.push(`${way.name}: ${sentenceOf(error)}`);
      say(`no nats-server by ${failures.at(-1)}`);
    } finally {
      await rm(into, { recursive: true, force: true });
    }
  }
  throw new ToroidError(
    "TOR_TOOL_MISSING",
    `no nats-server ${MINIMUM_VERSION} or newer is here and none could be fetched (${failures.join("; ")}): ` +
      "install one and put it on PATH, or name it in TOROID_NATS_SERVER",
    { tried: failures.length },
  );
}

/** Moves the fetched binary to its place in the cache, in one step, once it has shown that it runs. */
async function keep(binary: string, into: string, cacheDir: string): Promise<FoundServer> {
  const version = await versionOf(binary);
  if (version === undefined) throw new Error("what was fetched does not run here");
  if (!atLeast(version)) throw new Error(`it gave ${version}, older than ${MINIMUM_VERSION}`);
  const ready = join(into, "ready");
  await mkdir(ready);
  await copyFile(binary, join(ready, "nats-server"));
  await chmod(join(ready, "nats-server"), 0o755);
  const home = join(resolve(cacheDir), `nats-server-${version}`);
  await rm(home, { recursive: true, force: true });
  await rename(ready, home);
  return { path: join(home, "nats-server"), version };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
