/** What others see of the executors of this host: for health checks, in which the process itself cannot be asked. */
import { hostname } from "node:os";
import { connectJet, type Jet } from "../kit/jetstream.ts";
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
  return (await presencesIn(jet)).filter(({ host }) => host === hostname());
}

/**
 * Whoever says now that they live. Asks for the subjects rather than by `keys()`, which leaves a consumer on the server
 * for minutes whenever the bucket is empty; the server takes 1,000 and then refuses all.
 */
export async function presencesIn(jet: Jet): Promise<readonly Presence[]> {
  const bucket = await openBucket(jet, EXECUTORS);
  const prefix = `$KV.${EXECUTORS.name}.`;
  const { state } = await jet.jsm.streams.info(`KV_${EXECUTORS.name}`, { subjects_filter: `${prefix}>` });
  const found: Presence[] = [];
  for (const subject of Object.keys(state.subjects ?? {})) {
    const entry = await bucket.get(subject.slice(prefix.length));
    if (entry?.operation === "PUT") found.push(decode(presence, entry.value));
  }
  return found;
}
