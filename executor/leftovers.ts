/** The state directory: ours alone while we live, and swept of what a killed predecessor left. */
import { mkdir, readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { type Lock, tryLock } from "../kit/lock.ts";
import type { Logger } from "../kit/log.ts";
import { ToroidError } from "../protocol/errors.ts";
import { takeDown } from "./network.ts";
import { removeTree } from "./trees.ts";
import { askHelper } from "./workspace/helper.ts";

/** Where things are below the state directory. */
export interface StateDirs {
  readonly mirrors: string;
  readonly workspaces: string;
  readonly imageCache: string;
  readonly artifactCache: string;
  readonly slots: string;
  /** Where the pool of networks is pinned. */
  readonly networks: string;
}

/**
 * Takes the state directory.
 *
 * @throws {ToroidError} TOR_ADDRESS_IN_USE when another executor of this host has it.
 */
export async function takeState(stateDir: string): Promise<{ readonly lock: Lock; readonly dirs: StateDirs }> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const real = await realpath(stateDir);
  const lock = await tryLock(`executor state ${real}`);
  if (lock === undefined) {
    throw new ToroidError(
      "TOR_ADDRESS_IN_USE",
      `another executor runs on ${real}; give this one a directory of its own by TOROID_EXECUTOR_STATE`,
      { stateDir: real },
    );
  }
  const dirs: StateDirs = {
    mirrors: join(real, "mirrors"),
    workspaces: join(real, "workspaces"),
    imageCache: join(real, "image-cache"),
    artifactCache: join(real, "artifact-cache"),
    slots: join(real, "slots"),
    networks: join(real, "networks"),
  };
  // What builds write is owned by root in their own eyes: nobody else on this host may come near it.
  for (const dir of Object.values(dirs)) await mkdir(dir, { recursive: true, mode: 0o700 });
  return { lock, dirs };
}

/** Removes workspaces, cgroups and networks that a killed executor left behind. A failure is a warning: work goes on. */
export async function sweep(dirs: StateDirs, helper: string, cgroup: string | null, log: Logger): Promise<void> {
  const gc = await askHelper(helper, [
    "gc",
    "--state",
    dirs.workspaces,
    ...(cgroup === null ? [] : ["--cgroup", cgroup]),
  ]);
  if (!gc.ok) log.warn({ reason: gc.stderr.slice(0, 500) }, "cgroups not swept");
  await takeDown(helper, dirs.networks, log);
  const left = await readdir(dirs.workspaces);
  for (const name of left) {
    await removeTree(join(dirs.workspaces, name)).catch((error: unknown) => {
      log.warn({ err: error, name }, "workspace not removed");
    });
  }
  for (const cache of [dirs.imageCache, dirs.artifactCache]) {
    for (const name of await readdir(cache)) if (name.startsWith(".draft-")) await removeTree(join(cache, name));
  }
  if (left.length > 0) log.warn({ workspaces: left.length }, "leftovers of a killed executor removed");
}
