/**
 * From a push message on the queue to the first byte that the script itself wrote, warm: the whole system as
 * `npm start` runs it, JetStream syncing before every acknowledgement, a one-line script, one push after another.
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { SendMessageCommand, SQSClient } from "@aws-sdk/client-sqs";
import { DeliverPolicy } from "@nats-io/jetstream";
import { type System, startSystem } from "../../bin/start/system.ts";
import { connectJet, type Jet } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import { stageEvent } from "../../protocol/events.ts";
import { PLAN_STAGE } from "../../protocol/ids.ts";
import { logChunk } from "../../protocol/log.ts";
import { LOG, PUSH, RUN } from "../../protocol/streams.ts";
import { parseRunSubject } from "../../protocol/subjects.ts";
import { GitRepo } from "../support/repo.ts";
import { tempDir } from "../support/temp.ts";
import type { Figures, Report } from "./report.ts";
import { percentile, tenths } from "./statistics.ts";

const WARM_UP = 5;
const PUSHES = 50;
const MARK = "first byte of the script";

/** Instants in ms since 1970, to the fraction that their source has. */
interface Run {
  sentMs: number;
  acceptedMs?: number;
  plannedMs?: number;
  queuedMs?: number;
  claimedMs?: number;
  firstByteMs?: number;
  stepsMs?: Readonly<Record<string, number>>;
}

export async function benchPath(): Promise<Report> {
  await using dir = await tempDir("toroid-bench-");
  await using repo = await GitRepo.create({ files: { ".toroid.yml": `script: echo "${MARK}"\n` } });
  await using system = await startSystem({
    dir: join(dir.path, "state"),
    ports: { http: 0, nats: 0, queue: 0 },
    slots: 2,
    say: () => {},
    ending: new AbortController().signal,
  });
  await using jet = await connectJet({ url: system.natsUrl, name: "bench" });
  const runs: Run[] = [];
  await using watching = await watch(jet, runs);
  const sqs = clientOf(system);
  let before = await repo.head();
  for (let n = 0; n < WARM_UP + PUSHES; n += 1) {
    const after = await repo.commit({ files: { count: `${n}\n` }, message: `push ${n}` });
    const payload = await repo.pushPayload({ before, after, ref: "refs/heads/main" });
    before = after;
    const run: Run = { sentMs: now() };
    runs.push(run);
    await sqs.send(
      new SendMessageCommand({
        QueueUrl: system.queueEnvironment["TOROID_QUEUE_URL"] ?? "",
        MessageBody: JSON.stringify(payload),
        MessageAttributes: {
          "X-GitHub-Event": { DataType: "String", StringValue: "push" },
          "X-GitHub-Delivery": { DataType: "String", StringValue: randomUUID() },
        },
      }),
    );
    await watching.done(run);
  }
  sqs.destroy();
  return report(runs.slice(WARM_UP));
}

function report(runs: readonly Run[]): Report {
  const totals = runs.map((run) => (run.firstByteMs ?? Number.NaN) - run.sentMs);
  const step = (of: (run: Run) => number): number => tenths(percentile(runs.map(of), 0.5));
  const between = (a: keyof Run, b: keyof Run) => (run: Run) => Number(run[b]) - Number(run[a]);
  const part = (name: string) => (run: Run) => run.stepsMs?.[name] ?? 0;
  const figures: Figures = {
    pushToFirstByteMsP50: tenths(percentile(totals, 0.5)),
    pushToFirstByteMsP95: tenths(percentile(totals, 0.95)),
    pushToFirstByteMsP99: tenths(percentile(totals, 0.99)),
    queueMs: step(between("sentMs", "acceptedMs")),
    planMs: step(between("acceptedMs", "plannedMs")),
    scheduleMs: step(between("plannedMs", "queuedMs")),
    dispatchMs: step(between("queuedMs", "claimedMs")),
    checkoutMs: step(part("checkout")),
    workspaceMs: step(part("workspace")),
    claimedToFirstByteMs: step(between("claimedMs", "firstByteMs")),
  };
  return { bench: "path", figures, ratios: {}, setup: { pushes: runs.length, sync: "always", slots: 2, missing: [] } };
}

interface Watching extends AsyncDisposable {
  /** Resolves when the stage of this run ended. */
  done(run: Run): Promise<void>;
}

/** Reads the streams beside the system. Runs are one after the other, so whatever comes belongs to the newest. */
async function watch(jet: Jet, runs: readonly Run[]): Promise<Watching> {
  const open = async (stream: string) => {
    const consumer = await jet.js.consumers.get(stream, { deliver_policy: DeliverPolicy.New });
    return consumer.consume();
  };
  const [pushes, events, logs] = await Promise.all([open(PUSH.name), open(RUN.name), open(LOG.name)]);
  // What is written in one stream may be heard of after what was written later in another.
  let news = Promise.withResolvers<void>();
  const goOn = (): void => {
    news.resolve();
    news = Promise.withResolvers<void>();
  };
  const newest = (): Run => runs.at(-1) ?? { sentMs: Number.NaN };
  const reading = [
    (async () => {
      for await (const message of pushes) newest().acceptedMs = storedMs(message);
    })(),
    (async () => {
      for await (const message of events) {
        const subject = parseRunSubject(message.subject);
        if (subject.kind !== "stage") continue;
        const event = decode(stageEvent, message.data);
        const run = newest();
        if (subject.id.stage === PLAN_STAGE) {
          if (event.type === "finished") run.plannedMs = storedMs(message);
        } else if (event.type === "queued") run.queuedMs = storedMs(message);
        else if (event.type === "claimed") run.claimedMs = storedMs(message);
        else if (event.type === "finished") {
          run.stepsMs = event.result.stepsMs;
          goOn();
        }
      }
    })(),
    (async () => {
      for await (const message of logs) {
        const chunk = decode(logChunk, message.data);
        if (chunk.kind !== "bytes" || !Buffer.from(chunk.data).includes(MARK)) continue;
        newest().firstByteMs = now();
        goOn();
      }
    })(),
  ];
  return {
    async done(run) {
      while (run.stepsMs === undefined || run.firstByteMs === undefined) await news.promise;
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([pushes.close(), events.close(), logs.close()]);
      await Promise.all(reading);
    },
  };
}

function clientOf(system: System): SQSClient {
  const env = system.queueEnvironment;
  return new SQSClient({
    endpoint: env["TOROID_QUEUE_ENDPOINT"] ?? "",
    region: env["AWS_REGION"] ?? "",
    credentials: {
      accessKeyId: env["AWS_ACCESS_KEY_ID"] ?? "",
      secretAccessKey: env["AWS_SECRET_ACCESS_KEY"] ?? "",
    },
  });
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

function storedMs(message: { readonly info: { readonly timestampNanos: number } }): number {
  return message.info.timestampNanos / 1_000_000;
}
