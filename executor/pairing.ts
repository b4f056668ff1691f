/** Refuses to work for coordinators that this executor does not understand, or that would not understand it. */
import type { KV } from "@nats-io/kv";
import type { Jet } from "../kit/jetstream.ts";
import { readSpoken } from "../kit/topology.ts";
import { encode } from "../protocol/codec.ts";
import type { Presence } from "../protocol/commands.ts";
import { ToroidError } from "../protocol/errors.ts";
import { whyNoPair } from "../protocol/pairing.ts";
import type { Self } from "./presence.ts";

/**
 * One that is refused is in the list of executors for as long as a presence lasts, with the reason.
 *
 * @throws {ToroidError} TOR_VERSION_NEWER, TOR_VERSION_OLDER
 */
export async function assertPair(jet: Jet, presences: KV, self: Self): Promise<void> {
  const why = whyNoPair(await readSpoken(jet), self.version);
  if (why === null) return;
  const nothing = { busy: 0, runs: [], tokens: [], sinceMs: jet.clock.nowMs() };
  const said: Presence = { ...self, ...nothing, draining: true, why: why.message };
  await presences.put(self.id, encode(said));
  throw new ToroidError(why.code, why.message);
}
