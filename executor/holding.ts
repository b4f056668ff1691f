/** An attempt that this executor holds: its fence, and the only way to report on it. */
import { setTimeout as sleep } from "node:timers/promises";
import { append, type Jet, readLast, readSubject } from "../kit/jetstream.ts";
import { retry } from "../kit/retry.ts";
import { decode } from "../protocol/codec.ts";
import { ToroidError } from "../protocol/errors.ts";
import { type Purpose, type StageEvent, stageEvent } from "../protocol/events.ts";
import type { StageId } from "../protocol/ids.ts";
import { applyToStage, holds, NO_STAGE, type Stage } from "../protocol/stage.ts";
import { RUN } from "../protocol/streams.ts";
import { stageRunSubject } from "../protocol/subjects.ts";
import type { Work } from "../protocol/work.ts";

/** Why an attempt was let go of. `fenced`, `lost`: it is another's now, report nothing. `stopped`: we were told to go. */
export type AbandonReason = "fenced" | "lost" | "stopped";

const WHY: Readonly<Record<AbandonReason, string>> = {
  fenced: "another executor has taken it over",
  lost: "NATS was away, and another executor could have taken it over",
  stopped: "the executor was told to stop",
};

export interface Claimed {
  readonly id: StageId;
  readonly work: Work;
  readonly attempt: number;
  readonly purpose: Purpose;
  /** Sequence of our `claimed` event. */
  readonly token: number;
}

/** An attempt that was stopped may still say so, but is not waited for when the store is away. */
const STOPPED_REPORT_MS = 5_000;

/** The state of a stage now, read from its log. */
export async function readStage(jet: Jet, id: StageId): Promise<{ readonly stage: Stage; readonly lastSeq: number }> {
  let stage = NO_STAGE;
  let lastSeq = 0;
  for (const { data, seq } of await readSubject(jet, RUN.name, stageRunSubject(id), 0)) {
    stage = applyToStage(stage, decode(stageEvent, data), seq);
    lastSeq = seq;
  }
  return { stage, lastSeq };
}

export class Holding {
  readonly id: StageId;
  readonly work: Work;
  readonly attempt: number;
  readonly purpose: Purpose;
  readonly token: number;
  readonly #jet: Jet;
  readonly #cancel = new AbortController();
  readonly #abandon = new AbortController();
  #lastSeq: number;
  #why: AbandonReason | null = null;
  #tail: Promise<unknown> = Promise.resolve();

  constructor(jet: Jet, claimed: Claimed) {
    this.#jet = jet;
    this.id = claimed.id;
    this.work = claimed.work;
    this.attempt = claimed.attempt;
    this.purpose = claimed.purpose;
    this.token = claimed.token;
    this.#lastSeq = claimed.token;
  }

  /** Aborts when a person asked for its end; the reason is an Error with the sentence. */
  get cancelled(): AbortSignal {
    return this.#cancel.signal;
  }

  /** Aborts when everything of it has to end at once. */
  get abandoned(): AbortSignal {
    return this.#abandon.signal;
  }

  get whyAbandoned(): AbandonReason | null {
    return this.#why;
  }

  abandon(why: AbandonReason): void {
    this.#why ??= why;
    this.#abandon.abort(new ToroidError("TOR_FENCED", WHY[this.#why]));
  }

  /** Looks whether something was said about it: a cancellation, or a newer claim. Cheap when not. */
  async look(): Promise<void> {
    await this.#inTurn(async () => {
      const last = await readLast(this.#jet, RUN.name, stageRunSubject(this.id));
      if (last !== null && last.seq !== this.#lastSeq) await this.#reread();
    });
  }

  /**
   * Appends what happened, if the stage is still ours: where something was said in between that leaves it ours, after
   * that. Tries until it is told to abandon the attempt. Answers whether the event is stored.
   */
  async report(event: StageEvent): Promise<boolean> {
    if (this.#why === "stopped")
      return Promise.race([this.#report(event, STOPPED_REPORT_MS), falseAfter(STOPPED_REPORT_MS)]);
    return this.#report(event, null);
  }

  async #report(event: StageEvent, withinMs: number | null): Promise<boolean> {
    const signal = withinMs === null ? this.#abandon.signal : AbortSignal.timeout(withinMs);
    return this.#inTurn(() =>
      retry(() => this.#append(event), { attempts: Number.POSITIVE_INFINITY, minMs: 50, maxMs: 1_000, signal }).catch(
        (error: unknown) => {
          if (signal.aborted) return false;
          throw error;
        },
      ),
    );
  }

  async #append(event: StageEvent): Promise<boolean> {
    for (;;) {
      if (this.#why === "fenced" || this.#why === "lost") return false;
      const result = await append(this.#jet, RUN.name, stageRunSubject(this.id), event, this.#lastSeq);
      if (result.kind === "appended") {
        this.#lastSeq = result.seq;
        return true;
      }
      await this.#reread();
    }
  }

  async #reread(): Promise<void> {
    const { stage, lastSeq } = await readStage(this.#jet, this.id);
    this.#lastSeq = lastSeq;
    if (!holds(stage, this.token)) this.abandon("fenced");
    else if (stage.cancel !== null) this.#cancel.abort(new Error(cancelSentence(stage.cancel)));
  }

  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#tail.then(act);
    this.#tail = turn.catch(() => undefined);
    return turn;
  }
}

async function falseAfter(ms: number): Promise<boolean> {
  await sleep(ms, undefined, { ref: false });
  return false;
}

function cancelSentence(cancel: { readonly by: string; readonly why: string }): string {
  return cancel.why === "" ? `cancelled by ${cancel.by}` : `cancelled by ${cancel.by}: ${cancel.why}`;
}
