/** What others see of the executors of this host: for health checks, in which the process itself cannot be asked. */
import { hostname } from "node:os";
import { connectJet } from "../kit/jetstream.ts";
import { openBucket } from "../kit/topology.ts";
import { decode } from "../protocol/codec.ts";
import { type Presence, presence } from "../protocol/commands.ts";
import { EXECUTORS } from "../protocol/streams.ts";
import type { Config } from "./config.ts";

/**
 * The presences that executors of this host renew: one that is gone, stopped or without NATS has none 8 seconds later.
 *
 * @throws {ToroidError} TOR_NATS_UNREACHABLE
 */
export async function seenHere({ natsUrl }: Pick<Config, "natsUrl">): Promise<readonly Presence[]> {
  await using jet = await connectJet({ url: natsUrl, name: "toroid-executor check" });
  const presences = await openBucket(jet, EXECUTORS);
  const found: Presence[] = [];
  for await (const key of await presences.keys()) {
    const entry = await presences.get(key);
    if (entry?.operation === "PUT") found.push(decode(presence, entry.value));
  }
  return found.filter(({ host }) => host === hostname());
}
