/**
 * Every way in ends here: bytes and attributes become one push, one request, or a reasoned refusal. Pure.
 *
 * Three steps, a file each: `message/unwrap.ts` takes the envelopes off (SNS, API Gateway, EventBridge, Lambda, a
 * form), `message/github.ts` and `message/request.ts` read what was in them, `message/key.ts` says when two messages
 * are the same one.
 */
import { readEvent } from "./message/github.ts";
import { requestKey } from "./message/key.ts";
import { readRequest } from "./message/request.ts";
import { unwrap } from "./message/unwrap.ts";
import type { Intake, RawMessage } from "./message/vocabulary.ts";

export type { Arrival, Intake, IntakeRequest, RawMessage } from "./message/vocabulary.ts";

/** Says what `raw` is. Never throws: whatever arrives is an answer, and strings in it stay data. */
export function readMessage(raw: RawMessage): Intake {
  const found = unwrap(raw);
  switch (found.kind) {
    case "refused":
    case "ignored":
      return found;
    case "event":
      return readEvent(found.payload, found.headers);
    case "request": {
      const read = readRequest(found.payload);
      return read.kind === "refused" ? read : { ...read, key: requestKey(read.key, found.headers.sns, raw.id) };
    }
  }
}
