import { createHash } from "node:crypto";

/** Longer or stranger ids are hashed: keys go into events and logs. */
const PLAIN_ID = /^[\x21-\x7e]{1,128}$/;

/** A push: the forge's delivery id, else SNS's, else what was pushed. */
export function pushKey(
  ids: { readonly delivery: string | null; readonly sns: string | null },
  pushed: {
    readonly repository: number | string;
    readonly ref: string;
    readonly before: string;
    readonly after: string;
  },
): string {
  if (ids.delivery !== null) return keyOf("delivery", ids.delivery);
  if (ids.sns !== null) return keyOf("sns", ids.sns);
  return `push:${hash(JSON.stringify([pushed.repository, pushed.ref, pushed.before, pushed.after]))}`;
}

/** A request: the key its sender chose, else SNS's id, else the carrier's. */
export function requestKey(chosen: string | null, sns: string | null, carrierId: string): string {
  if (chosen !== null) return keyOf("request", chosen);
  return sns === null ? keyOf("message", carrierId) : keyOf("sns", sns);
}

function keyOf(kind: string, id: string): string {
  return `${kind}:${PLAIN_ID.test(id) ? id : hash(id)}`;
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
