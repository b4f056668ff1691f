/** What is said between a client and the sandbox's `serve`; the contract is in sandbox/README.md. Pure. */
import { z } from "zod";
import { ToroidError } from "../../protocol/errors.ts";

/** What a running build is told by its client, a byte each. */
export const TERM = "T";
export const KILL = "K";
/** Any byte says that the client lives. */
export const RENEW = "R";

const answer = z.discriminatedUnion("event", [
  z.looseObject({
    event: z.literal("done"),
    adopted: z.number().default(0),
    removed: z.number().default(0),
    bytes: z.number().default(0),
  }),
  z.looseObject({ event: z.literal("refused"), message: z.string() }),
  z.looseObject({
    event: z.literal("ready"),
    slots: z.number().int().positive(),
    pool: z.boolean(),
    poolMessage: z.string().nullable(),
    mayShareNetwork: z.boolean(),
    /** Runs can be told to end when their client is silent. */
    leases: z.boolean().default(false),
    /** Where unpacked images are; null: none can be. */
    store: z.string().nullable(),
  }),
]);

export type Answer = z.infer<typeof answer>;
/** What a `serve` has. */
export type Ready = Extract<Answer, { event: "ready" }>;

/** How many bytes follow, then each word ended by NUL. */
export function requestBytes(words: readonly string[]): Uint8Array {
  if (words.some((word) => word.includes("\0"))) {
    throw new ToroidError("TOR_INTERNAL", "a word for the sandbox has a NUL in it", { verb: words[0] ?? "" });
  }
  const text = Buffer.from(words.map((word) => `${word}\0`).join(""), "utf8");
  const head = Buffer.alloc(4);
  head.writeUInt32LE(text.byteLength);
  return Buffer.concat([head, text]);
}

/** The last line that is an answer, or null: a request that starts no run has one line. */
export function answerOf(text: string): Answer | null {
  for (const line of text.split("\n").toReversed()) {
    const read = answer.safeParse(jsonOrNull(line));
    if (read.success) return read.data;
  }
  return null;
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
