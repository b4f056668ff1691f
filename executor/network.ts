/** What builds have as their network: asked for when the sandbox's `serve` is started, looked at when it is ready. */
import type { Logger } from "../kit/log.ts";
import { ToroidError } from "../protocol/errors.ts";
import type { Config } from "./config.ts";
import type { Ready } from "./sandbox/request.ts";

/** What a build is weak in that shares the host's network. */
export const NETWORK_HOST = "network-host";

type Wishes = Pick<Config, "network" | "allowWeak">;

/** Whether builds may have the host's network where there can be none of their own. */
export function sharesNetwork({ network, allowWeak }: Wishes): boolean {
  return network.mode === "auto" && allowWeak.includes(NETWORK_HOST);
}

/** The options of `serve`: a pool pinned below `dir`, unless builds are to have the host's. */
export function networkOptions(config: Wishes, dir: string): readonly string[] {
  const { mode, subnet, open, dns, connections, forward } = config.network;
  if (mode === "host") return ["--may-share-network"];
  const words = ["--net", dir];
  if (subnet !== null) words.push("--subnet", subnet);
  for (const network of open) words.push("--open", network);
  for (const address of dns) words.push("--dns", address);
  if (connections !== null) words.push("--connections", String(connections));
  if (forward) words.push("--forward");
  if (sharesNetwork(config)) words.push("--may-share-network");
  return words;
}

/**
 * What a build gets that wants a network.
 *
 * @throws {ToroidError} TOR_SANDBOX_SETUP when there is none for it
 */
export function networkOf(config: Wishes, ready: Ready, log: Logger): "full" | "host" {
  const { mode } = config.network;
  if (mode !== "host" && ready.pool) return "full";
  const reason = ready.poolMessage ?? "serve has a pool, and TOROID_NETWORK is `host`";
  if (mode !== "host" && !sharesNetwork(config)) throw noNetwork(mode, reason);
  if (!ready.mayShareNetwork) {
    const why = "the sandbox's serve was not started with --may-share-network";
    throw new ToroidError("TOR_SANDBOX_SETUP", `builds cannot have the host's network: ${why}`);
  }
  if (mode !== "host") log.warn({ reason }, "builds share the host's network");
  return "host";
}

function noNetwork(mode: "auto" | "pool", reason: string): ToroidError {
  const ways =
    mode === "pool"
      ? "TOROID_NETWORK is `pool`, so builds do not share the host's"
      : "TOROID_NETWORK=host shares the host's network with builds, TOROID_ALLOW_WEAK=network-host does where it must";
  return new ToroidError("TOR_SANDBOX_SETUP", `no network can be made for builds: ${reason}; ${ways}`);
}
