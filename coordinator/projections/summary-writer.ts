/**
 * Keeps TOROID_BUILD in step with the logs, by compare-and-set like everything else. What is to be said of one build
 * while a write of it is under way, or was a moment ago, is said in one next write: a build of 256 stages would else be
 * written a thousand times, each time whole.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { InTurn } from "../../kit/in-turn.ts";
import { type Appended, append, type Jet, readLast } from "../../kit/jetstream.ts";
import { SizedCache } from "../../kit/sized-cache.ts";
import { onReconnect } from "../../kit/store-watch.ts";
import { decode, isTooLarge } from "../../protocol/codec.ts";
import type { BuildId, StageId } from "../../protocol/ids.ts";
import { BUILD } from "../../protocol/streams.ts";
import { summarySubject } from "../../protocol/subjects.ts";
import { type BuildSummary, buildSummary, type StageSummary } from "../../protocol/summary.ts";
import type { Mailboxes } from "../mailboxes.ts";
import { withBuild, withoutOutputs, withStage } from "./summaries.ts";

/** Each resolves once the summary tells of all that this process knows of the build or stage. */
export interface SummaryWriter {
  build(id: BuildId): Promise<void>;
  stage(id: StageId): Promise<void>;
}

/** Resolves when what was written within `tookMs` may be written again. */
export type Pace = (tookMs: number) => Promise<unknown>;

/** Of one build's time, this part goes into telling people of it; less when there is much to do, since all takes longer. */
const SHARE = 1 / 20;
/** However busy all are: nobody shall look at what was longer ago. */
const LONGEST_REST_MS = 250;

export async function restAfter(tookMs: number): Promise<void> {
  await sleep(Math.min(tookMs / SHARE, LONGEST_REST_MS));
}

/** What one write is to take up. */
interface Batch {
  readonly id: BuildId;
  readonly stages: Map<string, StageId>;
  build: boolean;
  readonly written: Promise<void>;
}

interface Known {
  readonly summary: BuildSummary | null;
  readonly seq: number;
}

/** Those of a build that has ended that are not known to have: nobody shall see it end before what it is made of. */
function openStages(summary: BuildSummary | null): readonly StageSummary[] {
  if (summary?.status !== "finished" || summary.archivedAtMs !== null) return [];
  return summary.stages.filter(({ status }) => status !== "finished");
}

/** Summaries kept in memory, by their size when stored; the rest is read again when needed. */
const MEMORY_BYTES = 4 * 1024 * 1024;

export function makeSummaryWriter(jet: Jet, actors: Mailboxes, pace: Pace): SummaryWriter {
  /** Batches that are not being written yet, by subject. */
  const next = new Map<string, Batch>();
  /** Writes of each subject, with the rest after each. */
  const inTurn = new InTurn();
  const cache = new SizedCache<Known>(MEMORY_BYTES);
  onReconnect(jet, () => cache.clear());

  function batchOf(id: BuildId): Batch {
    const subject = summarySubject(id);
    const open = next.get(subject);
    if (open !== undefined) return open;
    let beganAtMs = 0;
    const written = inTurn.run(
      subject,
      () => {
        next.delete(subject);
        beganAtMs = performance.now();
        return write(subject, batch);
      },
      () => pace(performance.now() - beganAtMs),
    );
    const batch: Batch = { id, stages: new Map(), build: false, written };
    next.set(subject, batch);
    return batch;
  }

  async function write(subject: string, batch: Batch): Promise<void> {
    let known = cache.get(subject) ?? (await read(subject));
    for (;;) {
      const after = await changed(known.summary, batch);
      if (after === null || after === known.summary) return;
      cache.delete(subject); // until it is known what became of it
      const put = (summary: BuildSummary): Promise<Appended> =>
        // Last, for one that was read has an id, by which this write would be taken for that one.
        append(jet, BUILD.name, subject, { ...summary, id: randomUUID() }, known.seq);
      const done = await put(after).catch((error: unknown) => {
        if (!isTooLarge(error)) throw error;
        return put(withoutOutputs(after));
      });
      if (done.kind === "appended") {
        cache.set(subject, { summary: after, seq: done.seq }, done.bytes);
        return;
      }
      known = await read(subject);
    }
  }

  async function changed(before: BuildSummary | null, batch: Batch): Promise<BuildSummary | null> {
    let summary = before;
    if (batch.build || summary === null) {
      const { state, seq } = await actors.build.load(batch.id, 1);
      summary = withBuild(summary, batch.id, state, seq);
    }
    for (const id of batch.stages.values()) {
      if (summary === null) return null;
      const { state, seq } = await actors.stage.load(id, 1);
      summary = withStage(summary, id, state, seq);
    }
    // Events of one build are reacted to side by side, maybe elsewhere: its end may come here before that of a stage.
    for (const { name: stage, round } of batch.build ? openStages(summary) : []) {
      const id = { ...batch.id, stage, round };
      const { state, seq } = await actors.stage.load(id);
      if (summary !== null && seq > 0) summary = withStage(summary, id, state, seq);
    }
    return summary;
  }

  async function read(subject: string): Promise<Known> {
    const last = await readLast(jet, BUILD.name, subject);
    return last === null ? { summary: null, seq: 0 } : { summary: decode(buildSummary, last.data), seq: last.seq };
  }

  return {
    build(id) {
      const batch = batchOf(id);
      batch.build = true;
      return batch.written;
    },
    stage(id) {
      const batch = batchOf({ repository: id.repository, number: id.number });
      batch.stages.set(`${id.stage} ${id.round}`, id);
      return batch.written;
    },
  };
}
