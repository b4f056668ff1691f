/** What a killed predecessor left in the state directory. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../kit/log.ts";
import { isEntry } from "./artifacts/cache.ts";
import type { SandboxClient } from "./sandbox/client.ts";
import type { StateDirs } from "./state.ts";

/** Removes it: scratches, cgroups, workspaces, half of what was being unpacked. A failure is a warning: work goes on. */
export async function sweep(dirs: StateDirs, client: SandboxClient, log: Logger): Promise<void> {
  await client.collect().catch((err: unknown) => log.warn({ err }, "what runs left not swept"));
  const left = (await readdir(dirs.workspaces)).map((name) => join(dirs.workspaces, name));
  const drafts = (await readdir(dirs.artifactCache)).filter((name) => !isEntry(name));
  for (const path of [...left, ...drafts.map((name) => join(dirs.artifactCache, name))]) {
    await client.remove(path).catch((err: unknown) => log.warn({ err, path }, "leftover not removed"));
  }
  if (left.length > 0) log.warn({ workspaces: left.length }, "leftovers of a killed executor removed");
}
