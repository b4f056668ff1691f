/**
 * Everybody who listens to changes. What changed is gathered for a moment, made into bytes once for all of them, and
 * written to each; of one thing that changed several times in it the last counts, since each tells the whole.
 */
import type { Logger } from "../../../kit/log.ts";
import type { SseStream } from "../sse.ts";

/** What is told: `read` makes it when it is sent, `key` is the same for the same thing. */
export interface Change {
  readonly event: string;
  readonly key: string;
  /** Whose affair it is; null: of those alone who may read everything. */
  readonly repository: string | null;
  readonly read: () => unknown;
  /** For those who may not read everything, where they are told less. */
  readonly readFor?: (readable: (repository: string) => boolean) => unknown;
}

export type Readable = ((repository: string) => boolean) | null;

interface Client {
  readonly stream: SseStream;
  readonly readable: Readable;
  /** Not null: it is being told what it missed, and hears of these after that. */
  held: Map<string, Change> | null;
}

/** As long as people do not notice: twenty times less work when much changes. */
const GATHER_MS = 15;
/** What may wait for a client that is still told what it missed. */
const HELD_CHANGES = 5_000;

export class EventHub {
  readonly #clients = new Set<Client>();
  readonly #position: () => string;
  readonly #log: Pick<Logger, "warn">;
  #gathered = new Map<string, Change>();
  #timer: NodeJS.Timeout | null = null;
  #flushedAtMs = 0;

  /** @param position the id of an event that is sent now */
  constructor(position: () => string, log: Pick<Logger, "warn">) {
    this.#position = position;
    this.#log = log;
  }

  get size(): number {
    return this.#clients.size;
  }

  tell(change: Change): void {
    if (this.#clients.size === 0) return;
    this.#gathered.delete(change.key);
    this.#gathered.set(change.key, change);
    if (this.#timer !== null) return;
    const waitMs = Math.max(0, this.#flushedAtMs + GATHER_MS - performance.now());
    this.#timer = setTimeout(() => this.#flush(), waitMs);
  }

  /**
   * Has a client hear of everything from now on. `missed` is told first; it resolves with the changes, or with null when
   * they are not known any more.
   */
  join(stream: SseStream, readable: Readable, missed: (() => Promise<readonly Change[] | null>) | null): void {
    // What is gathered already is older than what it reads.
    this.#flush();
    const client: Client = { stream, readable, held: missed === null ? null : new Map() };
    this.#clients.add(client);
    stream.closed.addEventListener("abort", () => this.#clients.delete(client), { once: true });
    stream.write(Buffer.from(`id: ${this.#position()}\n\n`));
    if (missed !== null) void this.#catchUp(client, missed);
  }

  async #catchUp(client: Client, missed: () => Promise<readonly Change[] | null>): Promise<void> {
    const since = this.#position();
    const changes = await missed().catch((error: unknown) => {
      this.#log.warn({ err: error }, "what a client missed could not be read; it is told to read afresh");
      return null;
    });
    const held = client.held ?? new Map<string, Change>();
    client.held = null;
    if (changes === null || held.size > HELD_CHANGES) {
      client.stream.write(Buffer.from(`id: ${this.#position()}\nevent: resync\ndata: {}\n\n`));
      return;
    }
    // One that changed meanwhile is told as it is by now.
    const stale = changes.filter(({ key }) => !held.has(key));
    this.#write(client, bytesFor(client, stale, since));
    this.#write(client, bytesFor(client, [...held.values()], this.#position()));
  }

  #flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#gathered.size === 0) return;
    this.#flushedAtMs = performance.now();
    const changes = [...this.#gathered.values()];
    this.#gathered = new Map();
    const id = this.#position();
    const frames = changes.map((change) => ({ change, bytes: bytesOf(change, id, null) }));
    const all = Buffer.concat(frames.map(({ bytes }) => bytes));
    for (const client of this.#clients) {
      if (client.held !== null) hold(client.held, changes);
      else if (client.readable === null) this.#write(client, all);
      else {
        const theirs = frames.filter(({ change }) => isFor(client, change));
        const own = theirs.map(({ change, bytes }) =>
          change.readFor === undefined ? bytes : bytesOf(change, id, client.readable),
        );
        this.#write(client, Buffer.concat(own));
      }
    }
  }

  #write({ stream }: Client, bytes: Uint8Array): void {
    if (bytes.byteLength > 0) stream.write(bytes);
  }
}

function hold(held: Map<string, Change>, changes: readonly Change[]): void {
  if (held.size > HELD_CHANGES) return;
  for (const change of changes) {
    held.delete(change.key);
    held.set(change.key, change);
  }
}

function isFor({ readable }: Client, { repository }: Change): boolean {
  return readable === null || (repository !== null && readable(repository));
}

function bytesFor(client: Client, changes: readonly Change[], id: string): Uint8Array {
  const theirs = changes.filter((change) => isFor(client, change));
  return Buffer.concat(theirs.map((change) => bytesOf(change, id, client.readable)));
}

function bytesOf({ event, read, readFor }: Change, id: string, readable: Readable): Uint8Array {
  const data = readable === null || readFor === undefined ? read() : readFor(readable);
  return Buffer.from(`id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
