/**
 * The records of one attempt's log in JetStream, each naming the sequence of the one before it: a publish whose answer
 * is lost is looked for before it is repeated, and the store refuses what would be a repetition.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { isRefusal, type Jet, readLast } from "../../kit/jetstream.ts";
import { backoffMs } from "../../kit/retry.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { LOG } from "../../protocol/streams.ts";

const PUBLISH_TIMEOUT_MS = 2_000;
/** A server that says no, and means it. */
const REFUSALS_MOST = 20;

export class ChunkStore {
  readonly #jet: Jet;
  readonly #subject: string;
  #lastSeq: number;

  /** @param lastSeq of what is there already */
  constructor(jet: Jet, subject: string, lastSeq = 0) {
    this.#jet = jet;
    this.#subject = subject;
    this.#lastSeq = lastSeq;
  }

  /** Publishes once. Answers why it is not known to be stored, or null. */
  async once(data: Uint8Array): Promise<{ readonly error: unknown } | null> {
    try {
      const ack = await this.#jet.js.publish(this.#subject, data, {
        expect: { streamName: LOG.name, lastSubjectSequence: this.#lastSeq },
        timeout: PUBLISH_TIMEOUT_MS,
        retries: 0,
      });
      this.#lastSeq = ack.seq;
      return null;
    } catch (error) {
      return { error };
    }
  }

  /**
   * Publishes until it is stored, or `signal` aborts; true when it is stored.
   *
   * @param onAnswer called with each try: did the store answer?
   * @throws {ToroidError} TOR_FENCED when somebody else writes there
   */
  async store(data: Uint8Array, signal: AbortSignal, onAnswer: (answers: boolean) => void): Promise<boolean> {
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      const failed = await this.once(data);
      if (failed === null) {
        onAnswer(true);
        return true;
      }
      const { error } = failed;
      onAnswer(isRefusal(error));
      const found = await this.#lookFor(data).catch(() => "unknown" as const);
      if (found === "stored") return true;
      if (found === "foreign") {
        throw new ToroidError("TOR_FENCED", `another executor writes ${this.#subject}`, {}, { cause: error });
      }
      if (found === "absent" && isRefusal(error) && attempt > REFUSALS_MOST) throw error;
      await sleep(backoffMs(attempt, 20, 1_000, Math.random()), undefined, { signal }).catch(() => undefined);
    }
    return false;
  }

  /** Did the publish whose answer we do not have (or do not believe) land? */
  async #lookFor(data: Uint8Array): Promise<"stored" | "absent" | "foreign"> {
    const last = await readLast(this.#jet, LOG.name, this.#subject);
    if (last === null || last.seq <= this.#lastSeq) return "absent";
    if (!Buffer.from(last.data).equals(data)) return "foreign";
    this.#lastSeq = last.seq;
    return "stored";
  }
}
