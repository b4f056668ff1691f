/** A nats-server with Toroid's streams, and what is needed to look into them. */

import type { z } from "zod";
import { connectJet, type Jet, readSubject } from "../../../kit/jetstream.ts";
import { type Logger, makeLogger } from "../../../kit/log.ts";
import { ensureTopology } from "../../../kit/topology.ts";
import { decode } from "../../../protocol/codec.ts";
import { REACTORS } from "../../../protocol/streams.ts";
import { NatsServer } from "../../support/nats.ts";

export const STORE_BYTES = 256 * 1024 * 1024;

export const quiet: Logger = makeLogger("coordinator", process.env["TOROID_LOG_LEVEL"] ?? "silent");

export interface Rig extends AsyncDisposable {
  readonly server: NatsServer;
  readonly jet: Jet & AsyncDisposable;
}

export async function startRig(): Promise<Rig> {
  await using undo = new AsyncDisposableStack();
  const server = undo.use(await NatsServer.start());
  const jet = undo.use(await connectJet({ url: server.url, name: "test" }));
  await ensureTopology(jet, REACTORS, { storeBytes: STORE_BYTES, replicas: 1 });
  const kept = undo.move();
  return { server, jet, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Everything on one subject, read. */
export async function eventsOn<T>(
  jet: Jet,
  stream: string,
  subject: string,
  schema: z.ZodType<T>,
): Promise<readonly T[]> {
  return (await readSubject(jet, stream, subject, 0)).map(({ data }) => decode(schema, data));
}
