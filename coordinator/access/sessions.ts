/**
 * Sessions of people at the page: a cookie's hash leads to who they are. They are in the store, so that every
 * coordinator knows them, and a restart ends none.
 */
import { createHash, randomBytes } from "node:crypto";
import type { KV } from "@nats-io/kv";
import type { Logger } from "../../kit/log.ts";
import { type SessionRecord, sessionRecord } from "../../protocol/access.ts";
import { encode } from "../../protocol/codec.ts";
import { CachedBucket } from "./cached-bucket.ts";

const COOKIE_BYTES = 32;
const COOKIE = /^[A-Za-z0-9_-]{43}$/;

export class Sessions {
  readonly #cache: CachedBucket<SessionRecord>;
  readonly #nowMs: () => number;

  constructor(kv: KV, nowMs: () => number) {
    this.#cache = new CachedBucket(kv, "session", sessionRecord);
    this.#nowMs = nowMs;
  }

  follow(stop: AbortSignal, log: Logger): Promise<void> {
    return this.#cache.follow(stop, log);
  }

  onChange(listener: (id: string) => void): void {
    this.#cache.onChange(listener);
  }

  /** Answers the cookie, which is new each time and kept nowhere here. */
  async begin(who: Pick<SessionRecord, "account" | "token">, lifeMs: number): Promise<string> {
    const cookie = randomBytes(COOKIE_BYTES).toString("base64url");
    const createdAtMs = this.#nowMs();
    const record: SessionRecord = { ...who, createdAtMs, expiresAtMs: createdAtMs + lifeMs };
    await this.#cache.kv.create(this.#cache.keyOf(sessionIdOf(cookie)), encode(record));
    return cookie;
  }

  async end(cookie: string): Promise<void> {
    if (COOKIE.test(cookie)) await this.#cache.kv.purge(this.#cache.keyOf(sessionIdOf(cookie)));
  }

  /** Null: there is no such session any more; at once when it is known. */
  find(cookie: string): SessionRecord | null | Promise<SessionRecord | null> {
    if (!COOKIE.test(cookie)) return null;
    const id = sessionIdOf(cookie);
    const known = this.#cache.peek(id);
    if (known !== undefined) return this.#timely(known);
    return this.#cache.get(id).then((record) => this.#timely(record));
  }

  #timely(record: SessionRecord | null): SessionRecord | null {
    return record !== null && record.expiresAtMs > this.#nowMs() ? record : null;
  }
}

/** As the store calls it. */
export function sessionIdOf(cookie: string): string {
  return createHash("sha256").update(cookie).digest("hex");
}
