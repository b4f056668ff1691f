/**
 * What a script wrote into its two files. They are the script's to replace by anything at all, so they are opened with
 * care and read as foreign bytes.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { QueueRequest } from "../protocol/events.ts";
import { MAX_OUTPUT_FILE_BYTES, parseOutputFile } from "../protocol/pipeline/output-file.ts";
import { MAX_QUEUE_FILE_BYTES, parseQueueFile } from "../protocol/pipeline/queue-file.ts";
import { isDenied } from "./workspace.ts";

/** A sentence for people says what is wrong. */
export type Read<T> = { readonly kind: "read"; readonly value: T } | { readonly kind: "wrong"; readonly why: string };

export async function readOutputs(path: string): Promise<Read<Readonly<Record<string, string>>>> {
  const bytes = await readHostile(path, MAX_OUTPUT_FILE_BYTES + 1);
  if (bytes === null) return { kind: "wrong", why: "TOROID_OUTPUT is not a regular file any more" };
  const parsed = parseOutputFile(bytes);
  if (parsed.kind === "invalid") return { kind: "wrong", why: sentence("TOROID_OUTPUT", parsed.problems) };
  return { kind: "read", value: parsed.outputs };
}

export async function readQueue(path: string): Promise<Read<readonly QueueRequest[]>> {
  const bytes = await readHostile(path, MAX_QUEUE_FILE_BYTES + 1);
  if (bytes === null) return { kind: "wrong", why: "TOROID_QUEUE is not a regular file any more" };
  const parsed = parseQueueFile(bytes);
  if (parsed.kind === "invalid") return { kind: "wrong", why: sentence("TOROID_QUEUE", parsed.problems) };
  return { kind: "read", value: parsed.requests };
}

function sentence(file: string, problems: readonly { readonly line: number; readonly message: string }[]): string {
  return `${file}: ${problems.map(({ line, message }) => `line ${line}: ${message}`).join("; ")}`;
}

/** The first `most` bytes of a regular file; empty when it was removed; null when it is no such file any more. */
export async function readHostile(path: string, most: number): Promise<Uint8Array | null> {
  const handle = await openHostile(path);
  if (handle === "missing") return new Uint8Array(0);
  if (handle === null) return null;
  try {
    if (!(await handle.stat()).isFile()) return null;
    const buffer = Buffer.alloc(most);
    let filled = 0;
    while (filled < most) {
      const { bytesRead } = await handle.read(buffer, filled, most - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  } finally {
    await handle.close();
  }
}

/** Follows no link and waits for nobody: a named pipe would otherwise hang us. Throws when we may not read it. */
async function openHostile(path: string): Promise<FileHandle | "missing" | null> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch (error) {
    if (isDenied(error)) throw error;
    return error instanceof Error && "code" in error && error.code === "ENOENT" ? "missing" : null;
  }
}
