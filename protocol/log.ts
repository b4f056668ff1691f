import { z } from "zod";

/**
 * One message of TOROID_LOG. Chunks of one attempt follow each other without gaps: `offset` counts the bytes of
 * output before this chunk. A `phase` record carries no bytes; it says what the bytes after it belong to.
 */
export const logChunk = z.discriminatedUnion("kind", [
  z.looseObject({
    kind: z.literal("bytes"),
    offset: z.number().int().nonnegative(),
    atMs: z.number(),
    data: z.instanceof(Uint8Array),
  }),
  z.looseObject({
    kind: z.literal("phase"),
    offset: z.number().int().nonnegative(),
    atMs: z.number(),
    phase: z.string(),
  }),
  z.looseObject({
    kind: z.literal("end"),
    offset: z.number().int().nonnegative(),
    atMs: z.number(),
    /** Bytes that the script wrote past its limit and that are not here. */
    droppedBytes: z.number().int().nonnegative(),
  }),
]);
export type LogChunk = z.infer<typeof logChunk>;

/** The most output in one chunk; the stream's max_msg_size leaves room for the frame. */
export const LOG_CHUNK_BYTES = 64 * 1024;
