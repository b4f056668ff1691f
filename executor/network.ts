/** The pool of network namespaces, one for each slot: made at start, taken down at the end, by the helper. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../kit/log.ts";
import { ToroidError } from "../protocol/errors.ts";
import type { NetworkConfig } from "./config.ts";
import { askHelper } from "./workspace/helper.ts";

/** What a slot's builds have as their network. */
export interface SlotNetwork {
  /** The file that the namespace is pinned at. */
  readonly netns: string;
  /** What they find as /etc/resolv.conf. */
  readonly resolver: string;
}

export class Networks implements AsyncDisposable {
  readonly #dir: string;
  readonly #helper: string;
  readonly #log: Logger;

  private constructor(dir: string, helper: string, log: Logger) {
    this.#dir = dir;
    this.#helper = helper;
    this.#log = log;
  }

  /**
   * Makes `slots` of them below `dir`; null when builds are to share the host's network, or when nothing else was asked
   * for and this host cannot.
   *
   * @throws {ToroidError} TOR_SANDBOX_SETUP when TOROID_NETWORK is `pool` and this host cannot
   */
  static async bringUp(
    config: NetworkConfig,
    o: { readonly helper: string; readonly dir: string; readonly slots: number },
    log: Logger,
  ): Promise<Networks | null> {
    if (config.mode === "host") return null;
    const networks = new Networks(o.dir, o.helper, log);
    const words = ["net", "up", "--state", o.dir, "--slots", String(o.slots)];
    if (config.subnet !== null) words.push("--subnet", config.subnet);
    for (const open of config.open) words.push("--open", open);
    for (const dns of config.dns) words.push("--dns", dns);
    if (config.connections !== null) words.push("--connections", String(config.connections));
    if (config.forward) words.push("--forward");
    const { ok, stderr } = await askHelper(o.helper, words);
    if (ok) return networks;
    const reason = stderr.trim().slice(0, 500);
    if (config.mode === "pool") {
      throw new ToroidError("TOR_SANDBOX_SETUP", `TOROID_NETWORK is \`pool\`, and no network can be made: ${reason}`);
    }
    log.warn({ reason }, "builds share the host's network");
    return null;
  }

  of(slot: number): SlotNetwork {
    return { netns: join(this.#dir, String(slot)), resolver: join(this.#dir, "resolv.conf") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await takeDown(this.#helper, this.#dir, this.#log);
  }
}

/** Removes what is there, a killed executor's too. A failure is a warning: the next start tries again. */
export async function takeDown(helper: string, dir: string, log: Logger): Promise<void> {
  if ((await readdir(dir)).length === 0) return;
  const { ok, stderr } = await askHelper(helper, ["net", "down", "--state", dir]);
  if (!ok) log.warn({ reason: stderr.trim().slice(0, 500) }, "networks not taken down");
}
