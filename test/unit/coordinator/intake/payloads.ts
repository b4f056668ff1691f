import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { RawMessage } from "../../../../coordinator/intake/message.ts";

const PAYLOADS = join(import.meta.dirname, "..", "..", "..", "data", "github", "push");

/** A real push payload of GitHub; `changes` replace top-level fields. */
export function payload(name: string, changes: Record<string, unknown> = {}): Record<string, unknown> {
  return { ...JSON.parse(readFileSync(join(PAYLOADS, `${name}.json`), "utf8")), ...changes };
}

/** As a carrier has it: strings as they are, the rest as JSON. */
export function message(content: unknown, attributes: Record<string, string> = {}, id = "sqs-1"): RawMessage {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  return { body: Buffer.from(text), attributes, id };
}
