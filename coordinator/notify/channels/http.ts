/** One request to a target, and what its answer means. Redirects are not followed: they could lead anywhere. */
import type { Answer } from "../transitions.ts";

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  /** The beginning of it. */
  readonly text: string;
}

const READ_MOST_BYTES = 64 * 1024;
const SHOWN_CHARACTERS = 160;
/** It will be no other tomorrow, whoever is asked. */
const HOPELESS: ReadonlySet<number> = new Set([400, 405, 406, 410, 411, 413, 414, 415, 422]);

export async function request(
  url: string,
  {
    method = "POST",
    headers,
    body,
  }: { readonly method?: string; readonly headers: Record<string, string>; readonly body: string | null },
  signal: AbortSignal,
): Promise<Answered> {
  const response = await fetch(url, { method, headers, body, redirect: "manual", signal });
  return { status: response.status, headers: response.headers, text: await beginningOf(response) };
}

/** Who answers without end is not read to it. */
async function beginningOf({ body }: Response): Promise<string> {
  if (body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    text += decoder.decode(chunk, { stream: true });
    if (bytes >= READ_MOST_BYTES) break;
  }
  return text;
}

/** @param nowMs by this host's clock, for a `Retry-After` that is a date */
export function meaningOf({ status, headers, text }: Answered, nowMs: number): Answer {
  const said = text.replaceAll(/\s+/g, " ").trim().slice(0, SHOWN_CHARACTERS);
  const message = said === "" ? `answered ${status}` : `answered ${status}: ${said}`;
  if (status >= 200 && status < 300) return { kind: "delivered", status, message: `answered ${status}` };
  if (status >= 300 && status < 400)
    return {
      kind: "giveUp",
      status,
      message: `answered ${status}, a redirect, which is not followed: configure where it leads`,
    };
  if (status === 410)
    return { kind: "giveUp", status, message: "answered 410: it is gone for good; take it out of the configuration" };
  if (HOPELESS.has(status)) return { kind: "giveUp", status, message };
  const afterMs = retryAfterOf(headers.get("retry-after"), nowMs);
  const isDown = status === 429 || status >= 500;
  return { kind: "retry", status, message, isDown, ...(afterMs === null ? {} : { afterMs }) };
}

/** Seconds, or a date. */
export function retryAfterOf(header: string | null, nowMs: number): number | null {
  if (header === null || header.trim() === "") return null;
  if (/^\s*\d{1,9}\s*$/.test(header)) return Number(header) * 1_000;
  const atMs = Date.parse(header);
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}

/** No answer at all. What the error says may have the address in it, so that only its code is told. */
export function unanswered(error: unknown): Answer {
  return { kind: "retry", status: null, message: `no answer (${codeOf(error)})`, isDown: true };
}

export function codeOf(error: unknown): string {
  if (error instanceof Error && (error.name === "TimeoutError" || error.name === "AbortError"))
    return "it took too long";
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
  }
  return error instanceof Error ? error.name : "unknown";
}
