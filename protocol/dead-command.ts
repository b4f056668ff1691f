import { z } from "zod";

/** Header of a command that says what it is about, for when the command itself cannot be read. */
export const STAGE_HEADER = "Toroid-Stage";

/** A stage's log and the `queued` event that a command is for. */
export interface DeadCommand {
  readonly subject: string;
  readonly queuedSeq: number;
  readonly why: string;
}

/** The server's word on a command that it will not deliver any more. The message itself is there only past the limit. */
export const advisory = z.looseObject({
  type: z.enum(["io.nats.jetstream.advisory.v1.max_deliver", "io.nats.jetstream.advisory.v1.terminated"]),
  consumer: z.string().default(""),
  stream_seq: z.number().int().positive(),
  deliveries: z.number().int().nonnegative(),
  reason: z.string().optional(),
});
export type Advisory = z.infer<typeof advisory>;

/** The value of {@link STAGE_HEADER}. */
export function stageHeader(subject: string, queuedSeq: number): string {
  return `${subject} ${queuedSeq}`;
}

/** What an executor says when it ends a command that it cannot read; a header that is not ours is left out. */
export function reasonOf(header: string, why: string): string {
  return deadCommandOf(`${header}: ${why}`) === null ? why : `${header}: ${why}`;
}

/** The inverse of {@link reasonOf}; null when the reason names no stage. */
export function deadCommandOf(reason: string): DeadCommand | null {
  const match = /^(toroid\.run\.[A-Za-z0-9_-]+\.[1-9][0-9]*\.[A-Za-z0-9_-]+) ([1-9][0-9]{0,15}): (.*)$/s.exec(reason);
  const [, subject, queuedSeq, why] = match ?? [];
  if (subject === undefined || queuedSeq === undefined || why === undefined) return null;
  return { subject, queuedSeq: Number(queuedSeq), why };
}
