/** A nats-server with Toroid's streams, and what is needed to look into them. */

import { randomUUID } from "node:crypto";
import type { z } from "zod";
import { configFrom } from "../../../coordinator/config.ts";
import { sendCommand } from "../../../coordinator/dispatch/command.ts";
import type { Offer } from "../../../coordinator/effects.ts";
import type { Mailboxes } from "../../../coordinator/mailboxes.ts";
import { runCoordinator } from "../../../coordinator/main.ts";
import { append, connectJet, type Jet, readSubject } from "../../../kit/jetstream.ts";
import { type Logger, makeLogger } from "../../../kit/log.ts";
import { ensureTopology } from "../../../kit/topology.ts";
import { decode } from "../../../protocol/codec.ts";
import type { StageEvent, StageResult } from "../../../protocol/events.ts";
import type { StageId } from "../../../protocol/ids.ts";
import { bareResult } from "../../../protocol/stage.ts";
import { REACTORS, RUN } from "../../../protocol/streams.ts";
import { stageRunSubject } from "../../../protocol/subjects.ts";
import { NatsServer } from "../../support/nats.ts";
import { until } from "../../support/until.ts";

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

/** Claims a stage as an executor would, once it is queued. Answers the token. */
export async function claimStage(jet: Jet, actors: Mailboxes, id: StageId): Promise<number> {
  const queued = await until(`${id.stage} to be queued`, async () => {
    const loaded = await actors.stage.load(id);
    return loaded.state.status === "queued" ? loaded : null;
  });
  const { attempt } = queued.state;
  return report(
    jet,
    id,
    { type: "claimed", ...head(), executor: "one", attempt, purpose: "run", tookOver: null },
    queued.seq,
  );
}

export async function finishStage(jet: Jet, id: StageId, token: number, result: Partial<StageResult>): Promise<void> {
  await report(jet, id, { type: "finished", ...head(), result: { ...bareResult("passed", ""), ...result } }, token);
}

/** All that an executor would append. */
export async function runStage(
  jet: Jet,
  actors: Mailboxes,
  id: StageId,
  result: Partial<StageResult> = {},
): Promise<void> {
  await finishStage(jet, id, await claimStage(jet, actors, id), result);
}

async function report(jet: Jet, id: StageId, event: StageEvent, after: number): Promise<number> {
  const done = await append(jet, RUN.name, stageRunSubject(id), event, after);
  if (done.kind === "conflict") throw new Error(`somebody else wrote to ${id.stage}`);
  return done.seq;
}

function head(): { readonly id: string; readonly atMs: number } {
  return { id: randomUUID(), atMs: Date.now() };
}

/** For a reactor by itself: every command is sent, as if no pool was ever full. */
export function dispatchAtOnce(jet: Jet): { readonly offer: Offer; readonly dispatcher: { taken(): void } } {
  const offer: Offer = async (pool, command) => {
    await sendCommand(jet, pool, command, `command-${command.queuedSeq}`);
  };
  return { offer, dispatcher: { taken: () => {} } };
}

export interface RunningCoordinator extends AsyncDisposable {
  readonly url: string;
}

/** The coordinator as it is composed, in this process, on a port of its own. */
export async function startCoordinator(
  natsUrl: string,
  variables: Record<string, string> = {},
): Promise<RunningCoordinator> {
  const given = {
    TOROID_NATS_URL: natsUrl,
    TOROID_HTTP_PORT: "0",
    TOROID_STORE_BYTES: String(STORE_BYTES),
    TOROID_ALLOW_LAZY_SYNC: "1",
  };
  const config = configFrom({ ...given, ...variables });
  const stop = new AbortController();
  const hard = new AbortController();
  const ready = Promise.withResolvers<string>();
  const ended = runCoordinator(config, { stop: stop.signal, hard: hard.signal }, ready.resolve);
  ended.catch(ready.reject);
  const url = await ready.promise;
  return {
    url,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}
