/** What each slot has of its own for as long as the executor lives. */
import { join } from "node:path";
import { type Lock, tryLock } from "../kit/lock.ts";
import { ToroidError } from "../protocol/errors.ts";
import type { Networks } from "./network.ts";
import { OutputPipe } from "./workspace/pipe.ts";
import type { Slot } from "./workspace.ts";

const UIDS = 65_536;
/**
 * Ranges are handed out from the top of what systemd's table of uids calls unused, downwards; the helper's own choices
 * go up from the bottom.
 */
const PAST_LAST_BASE = 2_147_352_576;
const RANGES = 2_048;

export class Slots implements AsyncDisposable {
  readonly all: readonly Slot[];
  readonly #locks: readonly Lock[];

  private constructor(all: readonly Slot[], locks: readonly Lock[]) {
    this.all = all;
    this.#locks = locks;
  }

  /** Makes `count` slots; no two executors of a host get the same uids. */
  static async take(count: number, dir: string, networks: Networks | null): Promise<Slots> {
    const slots: Slot[] = [];
    const locks: Lock[] = [];
    for (let range = 1; slots.length < count; range += 1) {
      if (range > RANGES) throw new ToroidError("TOR_SANDBOX_SETUP", "no range of uids is free for another slot");
      const uidBase = PAST_LAST_BASE - range * UIDS;
      const lock = await tryLock(`uids from ${uidBase}`);
      if (lock === undefined) continue;
      locks.push(lock);
      const pipe = await OutputPipe.make(join(dir, `${slots.length}.out`), uidBase);
      slots.push({ uidBase, pipe, network: networks?.of(slots.length) ?? null });
    }
    return new Slots(slots, locks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#locks.map((lock) => lock.release()));
  }
}
