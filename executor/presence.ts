/**
 * Says every two seconds that this executor is alive and what it holds, and looks what it is asked for; when it cannot,
 * lets go of all of it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { KV } from "@nats-io/kv";
import type { Logger } from "../kit/log.ts";
import { encode } from "../protocol/codec.ts";
import type { Presence } from "../protocol/commands.ts";
import { formatStage } from "../protocol/ids.ts";
import { PRESENCE_TTL_MS } from "../protocol/streams.ts";
import type { Holding } from "./holding.ts";

export const BEAT_MS = PRESENCE_TTL_MS / 4;
/** Past this without a renewal our attempts may soon be another's. */
export const LET_GO_MS = (PRESENCE_TTL_MS * 2) / 3;
const WATCH_MS = 100;
const GOING = "it was told to stop";
const COURTESY_MS = 1_000;

/** A holding and the sign of life of the command that brought it. */
export interface Held {
  readonly holding: Holding;
  readonly working: () => void;
}

export interface Self {
  readonly id: string;
  readonly host: string;
  readonly version: string;
  readonly pool: string;
  readonly slots: number;
  readonly planSlots: number;
  readonly labels: string[];
  readonly protocol: number;
}

/** What a beat does besides: looks what others want of this executor. */
export interface Surroundings {
  /** Why nothing new is taken; null when it is. */
  readonly whyShut: () => string | null;
  /** Called with each beat that reached the store. */
  readonly look: () => Promise<void>;
  /** Called with each renewal, with how long ago it was asked for. */
  readonly renewed: (agoMs: number) => void;
  /** Tokens that are ours although nothing runs for them any more. */
  readonly kept: () => readonly number[];
}

export class PresenceBeat implements AsyncDisposable {
  readonly #kv: KV;
  readonly #self: Self;
  readonly #around: Surroundings;
  readonly #log: Logger;
  readonly #held = new Map<number, Held>();
  readonly #sinceMs = Date.now();
  #draining = false;
  #renewedAtMs = performance.now();
  /** When the last renewal came after a time in which we could have lost what we hold. */
  #backAtMs = Number.NEGATIVE_INFINITY;
  #beating = false;
  readonly #timers: NodeJS.Timeout[] = [];

  private constructor(kv: KV, self: Self, around: Surroundings, log: Logger) {
    this.#kv = kv;
    this.#self = self;
    this.#around = around;
    this.#log = log;
  }

  /** Resolves once others can see this executor. */
  static async start(kv: KV, self: Self, around: Surroundings, log: Logger): Promise<PresenceBeat> {
    const beat = new PresenceBeat(kv, self, around, log);
    await beat.#renew();
    beat.#timers.push(
      setInterval(() => void beat.#beat(), BEAT_MS),
      setInterval(() => beat.#watch(), WATCH_MS),
    );
    return beat;
  }

  get held(): Iterable<Held> {
    return this.#held.values();
  }

  holdsToken(token: number): boolean {
    return this.#held.has(token) || this.#around.kept().includes(token);
  }

  /** Were we cut off a moment ago? Then others may have been, too, and have not had the time to say that they live. */
  get isBackSinceShortly(): boolean {
    return performance.now() - this.#backAtMs < PRESENCE_TTL_MS;
  }

  add(held: Held): void {
    this.#held.set(held.holding.token, held);
  }

  remove(holding: Holding): void {
    this.#held.delete(holding.token);
  }

  /** To be called before a claim: a lease that is about to lapse is renewed first. */
  async ensureFresh(): Promise<void> {
    if (performance.now() - this.#renewedAtMs > BEAT_MS + BEAT_MS / 2) await this.#renew();
  }

  /** Tells others at once that this executor is about to go. */
  async drain(): Promise<void> {
    this.#draining = true;
    await this.#beat();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    // A courtesy: the entry expires by itself, so a server that is away is not waited for.
    const gone = this.#kv.delete(this.#self.id).catch(() => undefined);
    await Promise.race([gone, sleep(COURTESY_MS, undefined, { ref: false })]);
  }

  async #beat(): Promise<void> {
    for (const { working } of this.#held.values()) working();
    if (this.#beating) return;
    this.#beating = true;
    try {
      await this.#renew();
      const before = this.#around.whyShut();
      await Promise.all([this.#around.look(), ...[...this.#held.values()].map(({ holding }) => holding.look())]);
      if (this.#around.whyShut() !== before) await this.#renew();
    } catch (error) {
      this.#log.warn({ err: error, heldBack: performance.now() - this.#renewedAtMs }, "presence not renewed");
    } finally {
      this.#beating = false;
    }
  }

  async #renew(): Promise<void> {
    const beganAtMs = performance.now();
    const whyShut = this.#draining ? GOING : this.#around.whyShut();
    const said: Presence = {
      ...this.#self,
      busy: this.#held.size,
      runs: [...this.#held.values()].map(({ holding }) => formatStage(holding.id)),
      draining: whyShut !== null,
      why: whyShut ?? "",
      sinceMs: this.#sinceMs,
      tokens: [...new Set([...this.#held.keys(), ...this.#around.kept()])],
    };
    await this.#kv.put(this.#self.id, encode(said));
    if (performance.now() - this.#renewedAtMs > LET_GO_MS) this.#backAtMs = performance.now();
    this.#renewedAtMs = beganAtMs;
    this.#around.renewed(performance.now() - beganAtMs);
  }

  /** By a clock of our own, since a renewal that hangs says nothing. */
  #watch(): void {
    if (performance.now() - this.#renewedAtMs < LET_GO_MS) return;
    for (const { holding } of this.#held.values()) {
      if (!holding.abandoned.aborted) {
        this.#log.error({ token: holding.token, ...holding.id }, "lease not renewed in time, attempt abandoned");
      }
      holding.abandon("lost");
    }
  }
}
