/**
 * Tokens for programs, and for people without GitHub. Of a token only its hash is stored, by an id that is part of it:
 * nothing that is kept lets anybody in, and finding one takes as long whether the rest of it is right or wrong.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { KV } from "@nats-io/kv";
import type { Logger } from "../../kit/log.ts";
import { type TokenRecord, type TokenView, tokenRecord, tokenUse } from "../../protocol/access.ts";
import { decode, encode } from "../../protocol/codec.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { CachedBucket } from "./cached-bucket.ts";

const ID_BYTES = 8;
const SECRET_BYTES = 24;
const TOKEN = /^trd_([0-9a-f]{16})_[A-Za-z0-9_-]{32}$/;
/** How exactly it is known when a token was used last. */
const USE_MS = 60_000;

/** What is wanted of a new token; who made it is said beside it. */
export type NewToken = Pick<TokenRecord, "name" | "user" | "scope" | "repositories" | "account" | "expiresAtMs">;

export class Tokens {
  readonly #cache: CachedBucket<TokenRecord>;
  readonly #nowMs: () => number;
  readonly #usedAtMs = new Map<string, number>();

  constructor(kv: KV, nowMs: () => number) {
    this.#cache = new CachedBucket(kv, "token", tokenRecord);
    this.#nowMs = nowMs;
  }

  follow(stop: AbortSignal, log: Logger): Promise<void> {
    return this.#cache.follow(stop, log);
  }

  onChange(listener: (id: string) => void): void {
    this.#cache.onChange(listener);
  }

  /** The token itself is in the answer and nowhere else. */
  async create(wanted: NewToken, by: string): Promise<TokenView & { readonly secret: string }> {
    const id = randomBytes(ID_BYTES).toString("hex");
    const secret = `trd_${id}_${randomBytes(SECRET_BYTES).toString("base64url")}`;
    const record: TokenRecord = { ...wanted, id, hash: hashOf(secret).toString("hex"), by, createdAtMs: this.#nowMs() };
    await this.#cache.kv.create(this.#cache.keyOf(id), encode(record));
    return { ...viewOf(record, null), secret };
  }

  /** Newest first; those that have expired too, until somebody removes them. */
  async list(): Promise<readonly TokenView[]> {
    const { kv } = this.#cache;
    const found: TokenView[] = [];
    for await (const key of await kv.keys("token.*")) {
      const entry = await kv.get(key);
      if (entry?.operation !== "PUT") continue;
      const record = decode(tokenRecord, entry.value);
      const use = await kv.get(`used.${record.id}`);
      found.push(viewOf(record, use?.operation === "PUT" ? decode(tokenUse, use.value).atMs : null));
    }
    return found.toSorted((a, b) => b.createdAtMs - a.createdAtMs);
  }

  /** Null: there is none of this id. */
  find(id: string): Promise<TokenRecord | null> {
    return isId(id) ? this.#cache.get(id) : Promise.resolve(null);
  }

  async remove(id: string): Promise<void> {
    await this.#cache.kv.purge(this.#cache.keyOf(id));
    await this.#cache.kv.purge(`used.${id}`);
  }

  /** Whose token this is, if that is known without asking; null: it is not, or it is no good. */
  peek(secret: string): TokenRecord | null {
    const id = TOKEN.exec(secret)?.[1];
    const known = id === undefined ? undefined : this.#cache.peek(id);
    if (known === undefined || !isOf(known, secret) || this.#isOver(known)) return null;
    this.#noteUse(known.id, this.#nowMs());
    return known;
  }

  /** Was one of its id right here before? Says nothing of whether this one is. */
  isFamiliar(secret: string): boolean {
    const id = TOKEN.exec(secret)?.[1];
    return id !== undefined && this.#usedAtMs.has(id);
  }

  /**
   * Whose token this is.
   *
   * @throws {ToroidError} TOR_SIGNED_OUT for one that is not valid
   */
  async verify(secret: string): Promise<TokenRecord> {
    const id = TOKEN.exec(secret)?.[1];
    const record = id === undefined ? null : await this.#cache.get(id);
    return this.#timely(isOf(record, secret) ? record : null);
  }

  /** One that was verified before, by its id: for a session that stands on it. */
  stillValid(id: string): TokenRecord | Promise<TokenRecord> {
    const known = this.#cache.peek(id);
    if (known !== undefined) return this.#timely(known);
    return this.#cache.get(id).then((record) => this.#timely(record));
  }

  #isOver({ expiresAtMs }: TokenRecord): boolean {
    return expiresAtMs !== null && expiresAtMs <= this.#nowMs();
  }

  #timely(record: TokenRecord | null): TokenRecord {
    if (record === null) throw notValid();
    if (this.#isOver(record)) {
      const when = new Date(record.expiresAtMs ?? 0).toISOString();
      throw new ToroidError("TOR_SIGNED_OUT", `the token ${record.name} expired at ${when}: make another`);
    }
    this.#noteUse(record.id, this.#nowMs());
    return record;
  }

  #noteUse(id: string, nowMs: number): void {
    if (nowMs - (this.#usedAtMs.get(id) ?? 0) < USE_MS) return;
    this.#usedAtMs.set(id, nowMs);
    // Only for people to see; the next use tells it again.
    this.#cache.kv.put(`used.${id}`, encode({ atMs: nowMs })).catch(() => this.#usedAtMs.delete(id));
  }
}

function isId(id: string): boolean {
  return /^[0-9a-f]{16}$/.test(id);
}

/** Compares in the same time, wherever they differ, and whether there is one or not. */
function isOf(record: TokenRecord | null, secret: string): record is TokenRecord {
  const kept = record === null ? Buffer.alloc(32) : Buffer.from(record.hash, "hex");
  return timingSafeEqual(hashOf(secret), kept) && record !== null;
}

function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

function notValid(): ToroidError {
  return new ToroidError("TOR_SIGNED_OUT", "this token is not valid: it was mistyped, or somebody removed it");
}

function viewOf(record: TokenRecord, lastUsedAtMs: number | null): TokenView {
  const { id, name, user, scope, repositories, by, createdAtMs, expiresAtMs } = record;
  return { id, name, user, scope, repositories, by, createdAtMs, expiresAtMs, lastUsedAtMs };
}
