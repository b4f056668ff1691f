/** The pool of network namespaces, one for each slot: made at start, taken down at the end, by the helper. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "../kit/log.ts";
import { ToroidError } from "../protocol/errors.ts";
import type { Config } from "./config.ts";
import { askHelper } from "./workspace/helper.ts";

/** What a slot's builds have as their network. */
export interface SlotNetwork {
  /** The file that the namespace is pinned at. */
  readonly netns: string;
  /** What they find as /etc/resolv.conf. */
  readonly resolver: string;
}

/** What a build is weak in that shares the host's network. */
export const NETWORK_HOST = "network-host";

/** Whether builds may have the host's network where there can be none of their own. */
export function sharesNetwork({ network, allowWeak }: Config): boolean {
  return network.mode === "auto" && allowWeak.includes(NETWORK_HOST);
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
   * Makes one for each slot below `dir`; null when builds are to share the host's network, or may and this host cannot.
   *
   * @throws {ToroidError} TOR_SANDBOX_SETUP when this host cannot and builds may not
   */
  static async bringUp(config: Config, dir: string, log: Logger): Promise<Networks | null> {
    const { sandbox: helper, slots, network } = config;
    if (network.mode === "host") return null;
    const networks = new Networks(dir, helper, log);
    const words = ["net", "up", "--state", dir, "--slots", String(slots)];
    if (network.subnet !== null) words.push("--subnet", network.subnet);
    for (const open of network.open) words.push("--open", open);
    for (const dns of network.dns) words.push("--dns", dns);
    if (network.connections !== null) words.push("--connections", String(network.connections));
    if (network.forward) words.push("--forward");
    const { ok, stderr } = await askHelper(helper, words);
    if (ok) return networks;
    const reason = stderr.trim().slice(0, 500);
    if (!sharesNetwork(config)) throw noNetwork(network.mode, reason);
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

function noNetwork(mode: "auto" | "pool" | "host", reason: string): ToroidError {
  const ways =
    mode === "pool"
      ? "TOROID_NETWORK is `pool`, so builds do not share the host's"
      : "TOROID_NETWORK=host shares the host's network with builds, TOROID_ALLOW_WEAK=network-host does where it must";
  return new ToroidError("TOR_SANDBOX_SETUP", `no network can be made for builds: ${reason}; ${ways}`);
}

/** Removes what is there, a killed executor's too. A failure is a warning: the next start tries again. */
export async function takeDown(helper: string, dir: string, log: Logger): Promise<void> {
  if ((await readdir(dir)).length === 0) return;
  const { ok, stderr } = await askHelper(helper, ["net", "down", "--state", dir]);
  if (!ok) log.warn({ reason: stderr.trim().slice(0, 500) }, "networks not taken down");
}
