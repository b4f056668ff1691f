/** What is in a dead letter: a message as its carrier had it, packed so that the store has room for many. */
import { createHash } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { z } from "zod";
import { ToroidError } from "../../protocol/errors.ts";
import type { StageId } from "../../protocol/ids.ts";
import type { LetterContent } from "../../protocol/letter.ts";
import type { RawMessage } from "../intake/message.ts";

/** So that a letter, with all that happens to it, stays below what NATS takes. */
const PACKED_BYTES = 700_000;
/** No message of SQS is half as long. */
const UNPACKED_BYTES = 4 * 1024 * 1024;
const PREVIEW_CHARACTERS = 1_000;

const packedMessage = z.object({ body: z.string(), attributes: z.record(z.string(), z.string()), id: z.string() });

type PushContent = Extract<LetterContent, { kind: "push" }>;

/** The same message has the same letter, however often it comes. */
export function letterOfMessage({ id }: RawMessage): string {
  return nameOf(["message", id]);
}

/** One command that nobody could take has one letter. */
export function letterOfStage({ repository, number, stage, round }: StageId, queuedSeq: number): string {
  return nameOf(["stage", repository, number, stage, round, queuedSeq]);
}

function nameOf(parts: readonly (string | number)[]): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 16);
}

export function contentOfMessage({ body, attributes, id }: RawMessage): PushContent {
  const text = Buffer.from(body).toString("utf8");
  const preview = text.slice(0, PREVIEW_CHARACTERS).toWellFormed();
  const bytes = body.byteLength;
  const whole = pack(text, attributes, id);
  if (whole.byteLength <= PACKED_BYTES) return { kind: "push", packed: whole, whole: true, bytes, preview };
  // What does not get smaller is no push. Its beginning says what it is.
  const beginning = text.slice(0, PACKED_BYTES / 8);
  return { kind: "push", packed: pack(beginning, {}, id), whole: false, bytes, preview };
}

function pack(body: string, attributes: Readonly<Record<string, string>>, id: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gzipSync(JSON.stringify({ body, attributes, id })));
}

/** @throws {ToroidError} TOR_DECODE */
export function messageOf({ packed }: PushContent): RawMessage {
  try {
    const text = gunzipSync(packed, { maxOutputLength: UNPACKED_BYTES }).toString("utf8");
    const { body, attributes, id } = packedMessage.parse(JSON.parse(text));
    return { body: Buffer.from(body, "utf8"), attributes, id };
  } catch (cause) {
    throw new ToroidError("TOR_DECODE", "what is in a dead letter cannot be read", {}, { cause });
  }
}
