import { headersOf, laterHeaders, NO_HEADERS } from "./headers.ts";
import { type Headers, type RawMessage, type Refused, refused } from "./vocabulary.ts";

/** What SQS takes at most, and far above what GitHub sends. */
export const BODY_LIMIT_BYTES = 1024 * 1024;

/** How often something is unpacked or parsed. API Gateway to SNS to SQS needs five. */
const DEPTH = 8;

export type Unwrapped =
  | { readonly kind: "event"; readonly payload: Json; readonly headers: Headers }
  | { readonly kind: "request"; readonly payload: Json; readonly headers: Headers }
  | { readonly kind: "ignored"; readonly reason: string }
  | Refused;

export type Json = Readonly<Record<string, unknown>>;

/** Takes off every envelope, and gathers what each said of the event. */
export function unwrap(raw: RawMessage): Unwrapped {
  if (raw.body.byteLength > BODY_LIMIT_BYTES) {
    return refused(`a body of ${raw.body.byteLength} bytes is over the limit of ${BODY_LIMIT_BYTES}`);
  }
  const text = decodeUtf8(raw.body);
  if (text === undefined) return refused("the body is not UTF-8");
  return open(text, laterHeaders(NO_HEADERS, headersOf(raw.attributes)), "the body", DEPTH);
}

/** @param what names `content` in a sentence */
function open(content: unknown, headers: Headers, what: string, depth: number): Unwrapped {
  if (depth === 0) return refused(`${what} is an envelope in too many envelopes`);
  if (typeof content === "string") {
    const parsed = parse(content);
    return parsed === undefined ? refused(`${what} is not JSON`) : open(parsed, headers, what, depth - 1);
  }
  if (Array.isArray(content)) return refused(arrayReason(content, what));
  if (!isObject(content))
    return refused(`${what} is ${content === null ? "null" : `a ${typeof content}`}, not an object`);
  if ("toroid" in content) return { kind: "request", payload: content, headers };
  return openEnvelope(content, headers, depth) ?? { kind: "event", payload: content, headers };
}

/** Undefined: it is no envelope. */
function openEnvelope(o: Json, headers: Headers, depth: number): Unwrapped | undefined {
  if (typeof o["Type"] === "string" && "Message" in o) return openSns(o, headers, depth);
  if ("detail-type" in o && "detail" in o) {
    const event = typeof o["detail-type"] === "string" ? o["detail-type"] : null;
    return open(
      o["detail"],
      laterHeaders(headers, { ...NO_HEADERS, event }),
      "`detail` of the EventBridge event",
      depth - 1,
    );
  }
  if (!isObject(o["headers"])) return o["Event"] === "s3:TestEvent" ? ignored("a test notification") : undefined;
  const inner = headersOf(o["headers"]);
  for (const field of ["bodyRaw", "body", "payload"] as const) {
    if (!(field in o)) continue;
    const what = `\`${field}\` of the wrapper`;
    const content = o["isBase64Encoded"] === true && field !== "payload" ? decodeBase64(o[field]) : o[field];
    if (content === undefined) return refused(`${what} is not base64 of UTF-8`);
    return open(content, laterHeaders(headers, inner), what, depth - 1);
  }
  return refused("the wrapper has `headers` but none of `payload`, `body` and `bodyRaw`");
}

function openSns(o: Json, headers: Headers, depth: number): Unwrapped {
  const { Type, Message, MessageId, MessageAttributes } = o;
  if (Type === "SubscriptionConfirmation") {
    return refused(
      "an SNS subscription waits for its confirmation: open `SubscribeURL`, or subscribe the queue by its ARN",
    );
  }
  if (Type === "UnsubscribeConfirmation") return ignored("an SNS subscription ended");
  if (Type !== "Notification") return refused("`Type` of the SNS envelope is not `Notification`");
  if (typeof Message !== "string") return refused("`Message` of the SNS envelope is not a string");
  const attributes = isObject(MessageAttributes) ? headersOf(MessageAttributes) : NO_HEADERS;
  const sns = typeof MessageId === "string" ? MessageId : null;
  return open(Message, laterHeaders(headers, { ...attributes, sns }), "`Message` of the SNS envelope", depth - 1);
}

/** JSON, or a form whose `payload` is JSON; undefined for anything else. */
function parse(text: string): unknown {
  const json = text.startsWith("payload=") ? (new URLSearchParams(text).get("payload") ?? "") : text;
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

function arrayReason(content: readonly unknown[], what: string): string {
  const [first] = content;
  return typeof first === "string" && /payloadoffloading|PayloadS3Pointer|MessageS3Pointer/i.test(first)
    ? `${what} is a pointer to S3 (SQS extended client), which this version cannot fetch`
    : `${what} is a list, not an object`;
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

function decodeBase64(content: unknown): string | undefined {
  if (typeof content !== "string" || !/^[A-Za-z0-9+/]*={0,2}$/.test(content)) return undefined;
  return decodeUtf8(Buffer.from(content, "base64"));
}

function ignored(reason: string): Unwrapped {
  return { kind: "ignored", reason };
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
