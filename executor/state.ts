/** The state directory: ours alone while we live. What is root's in it, and what is the executor's user's. */
import { constants, type Stats } from "node:fs";
import { access, chmod, chown, lstat, mkdir, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { type Lock, tryLock } from "../kit/lock.ts";
import { ToroidError } from "../protocol/errors.ts";
import type { ServiceUser } from "./sandbox/user.ts";
import { removeTree } from "./trees.ts";

/** What the executor reads and writes itself. */
export interface StateDirs {
  readonly mirrors: string;
  readonly workspaces: string;
  readonly artifactCache: string;
  readonly slots: string;
  /** What is known of the images that are kept. */
  readonly imageIndex: string;
  /** What waits for NATS. */
  readonly spool: string;
}

/** What the sandbox's `serve` needs, and nobody but root may touch. */
export interface RootDirs {
  readonly scratches: string;
  readonly networks: string;
  /** What archives of images are unpacked to: everybody may look. */
  readonly images: string;
}

/**
 * Takes the state directory.
 *
 * @throws {ToroidError} TOR_ADDRESS_IN_USE when another executor of this host has it.
 */
export async function takeState(stateDir: string): Promise<{ readonly lock: Lock; readonly real: string }> {
  await mkdir(dirname(stateDir), { recursive: true });
  await mkdir(stateDir, { recursive: true, mode: 0o711 });
  const real = await realpath(stateDir);
  const lock = await tryLock(`executor state ${real}`);
  if (lock !== undefined) return { lock, real };
  throw new ToroidError(
    "TOR_ADDRESS_IN_USE",
    `another executor runs on ${real}; give this one a directory of its own by TOROID_EXECUTOR_STATE`,
    { stateDir: real },
  );
}

export function stateDirs(stateDir: string): StateDirs {
  return {
    mirrors: join(stateDir, "mirrors"),
    workspaces: join(stateDir, "workspaces"),
    artifactCache: join(stateDir, "artifact-cache"),
    slots: join(stateDir, "slots"),
    imageIndex: join(stateDir, "image-index"),
    spool: join(stateDir, "spool"),
  };
}

/** Makes the directories of an executor that has no privilege. */
export async function makeDirs(dirs: StateDirs): Promise<void> {
  for (const dir of Object.values(dirs)) await mkdir(dir, { recursive: true, mode: 0o700 });
}

/** Makes root's directories in the state directory. As root. */
export async function makeRootDirs(stateDir: string): Promise<RootDirs> {
  const make = async (name: string, mode: number): Promise<string> => {
    const dir = join(stateDir, name);
    await mkdir(dir, { recursive: true });
    await chmod(dir, mode);
    return dir;
  };
  return {
    scratches: await make("scratches", 0o700),
    networks: await make("networks", 0o700),
    images: await make("image-cache", 0o755),
  };
}

/**
 * Gives the executor's directories to its user. What an older version left as root's goes with them: mirrors are handed
 * over, the rest is made anew. As root, and before anything of the user's runs.
 *
 * @throws {ToroidError} TOR_CONFIG_INVALID when they are another user's
 */
export async function handOver(stateDir: string, dirs: StateDirs, user: ServiceUser): Promise<void> {
  await assertNotTheirs(stateDir, user);
  if (((await stat(stateDir)).mode & 0o001) === 0) await chmod(stateDir, 0o711);
  for (const dir of Object.values(dirs)) {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const { uid } = await lstat(dir);
    if (uid === user.uid) continue;
    if (uid !== 0) throw another(dir, uid, user);
    if (dir !== dirs.mirrors) {
      await removeTree(dir);
      await mkdir(dir, { mode: 0o700 });
    }
    await execa("chown", ["-RhP", `${user.uid}:${user.gid}`, "--", dir], { stdin: "ignore" });
  }
}

/** Whoever can rename a directory above root's can put another in its place. */
async function assertNotTheirs(stateDir: string, user: ServiceUser): Promise<void> {
  for (const path of wayTo(stateDir)) {
    if (!changes(user, await stat(path))) continue;
    throw new ToroidError(
      "TOR_CONFIG_INVALID",
      `${path} can be changed by the executor's user (uid ${user.uid}), so what is root's cannot lie below it: choose another TOROID_EXECUTOR_STATE or TOROID_USER`,
    );
  }
}

/** Could what is root's and what is the user's lie below `path`: may the user enter every directory, and change none? */
export async function isPlaceFor(path: string, user: ServiceUser): Promise<boolean> {
  const found = await Promise.all(wayTo(path).map((step) => stat(step)));
  return found.every((one) => enters(user, one) && !changes(user, one));
}

/** From the root down. */
function wayTo(path: string): readonly string[] {
  const steps = [path];
  for (let at = path; at !== dirname(at); at = dirname(at)) steps.unshift(dirname(at));
  return steps;
}

function enters({ uid, gid }: ServiceUser, found: Stats): boolean {
  const bit = found.uid === uid ? 0o100 : found.gid === gid ? 0o010 : 0o001;
  return (found.mode & bit) !== 0;
}

function changes({ uid, gid }: ServiceUser, found: Stats): boolean {
  const writes = (found.mode & 0o002) !== 0 || ((found.mode & 0o020) !== 0 && found.gid === gid);
  return found.uid === uid || (writes && (found.mode & 0o1000) === 0);
}

function another(dir: string, uid: number, user: ServiceUser): ToroidError {
  const command = `chown -RhP ${user.uid}:${user.gid} ${dir}`;
  return new ToroidError(
    "TOR_CONFIG_INVALID",
    `${dir} belongs to uid ${uid}, and this executor runs as uid ${user.uid}: set TOROID_USER=${uid}, or give it over with \`${command}\``,
  );
}

/** Makes the directory of artifacts, which other executors may share. As root: one that root alone can write is given. */
export async function giveArtifacts(dir: string, user: ServiceUser): Promise<void> {
  await mkdir(dir, { recursive: true });
  const { uid, mode } = await stat(dir);
  if (uid === 0 && (mode & 0o022) === 0) await chown(dir, user.uid, user.gid);
}

/**
 * Looks whether we may do what we will have to, as who we are now.
 *
 * @throws {ToroidError} TOR_CONFIG_INVALID naming the first directory on the way that is closed
 */
export async function assertUsable(what: string, path: string, how: "read" | "write"): Promise<void> {
  const who = `this executor's user (uid ${process.geteuid?.()})`;
  for (const step of wayTo(path)) {
    if (await may(step, constants.X_OK)) continue;
    if (step === path) break;
    throw new ToroidError(
      "TOR_CONFIG_INVALID",
      `${what}: ${who} may not enter ${step}, on the way to ${path}: \`chmod o+x ${step}\`, or choose another place or user (TOROID_USER)`,
    );
  }
  if (await may(path, how === "write" ? constants.R_OK | constants.W_OK : constants.R_OK)) return;
  throw new ToroidError("TOR_CONFIG_INVALID", `${what}: ${who} may not ${how} ${path}`);
}

async function may(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
