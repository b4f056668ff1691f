import type { Headers } from "./vocabulary.ts";

export const NO_HEADERS: Headers = { event: null, delivery: null, sns: null };

/**
 * What matters of headers or attributes, under any spelling of their names. A value may be plain, a list (as API
 * Gateway has it), or SNS's `{Type, Value}`.
 */
export function headersOf(named: Readonly<Record<string, unknown>>): Headers {
  let { event, delivery } = NO_HEADERS;
  for (const [name, value] of Object.entries(named)) {
    const lower = name.toLowerCase();
    if (lower === "x-github-event") event = textOf(value);
    if (lower === "x-github-delivery") delivery = textOf(value);
  }
  return { event, delivery, sns: null };
}

/** The inner envelope is nearer to the forge, so it has the last word. */
export function laterHeaders(outer: Headers, inner: Headers): Headers {
  return {
    event: inner.event ?? outer.event,
    delivery: inner.delivery ?? outer.delivery,
    sns: inner.sns ?? outer.sns,
  };
}

function textOf(value: unknown): string | null {
  if (Array.isArray(value)) return textOf(value[0]);
  if (typeof value === "object" && value !== null && "Value" in value) return textOf(value.Value);
  return typeof value === "string" && value !== "" ? value : null;
}
