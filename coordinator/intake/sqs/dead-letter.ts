import type { MessageAttributeValue } from "@aws-sdk/client-sqs";

export const REASON_ATTRIBUTE = "Toroid-Reason";
/** Says how long the body was, when it had to be cut to make room. */
export const CUT_ATTRIBUTE = "Toroid-Cut-From-Bytes";

/** SQS's limits of one message. */
const MESSAGE_BYTES = 1024 * 1024;
/** Ten, less our two. */
const ATTRIBUTES = 8;
const REASON_CHARACTERS = 1_000;

type Attributes = Readonly<Record<string, MessageAttributeValue>>;

export interface DeadLetter {
  readonly body: string;
  readonly attributes: Record<string, MessageAttributeValue>;
}

/**
 * The message as it goes to the dead-letter queue: as it came, and why. Whatever keeps it within SQS's limits gives
 * way in this order: attributes beyond the eighth, then the end of the body.
 */
export function deadLetter(body: string, original: Attributes, reason: string): DeadLetter {
  const kept = Object.entries(original).filter(([name]) => name !== REASON_ATTRIBUTE && name !== CUT_ATTRIBUTE);
  const attributes = {
    ...Object.fromEntries(kept.slice(0, ATTRIBUTES)),
    [REASON_ATTRIBUTE]: text(plain(reason).slice(0, REASON_CHARACTERS)),
  };
  const bytes = Buffer.byteLength(body, "utf8");
  const room = MESSAGE_BYTES - sizeOf(attributes);
  if (bytes <= room) return { body: body === "" ? " " : body, attributes };
  const marked = { ...attributes, [CUT_ATTRIBUTE]: text(String(bytes)) };
  return { body: cut(body, MESSAGE_BYTES - sizeOf(marked)), attributes: marked };
}

function text(value: string): MessageAttributeValue {
  return { DataType: "String", StringValue: value };
}

/** SQS takes no control characters but tab and line ends, and no lone surrogates. */
function plain(reason: string): string {
  return reason.toWellFormed().replaceAll(/\p{Cc}|[\uFFFE\uFFFF]/gu, " ");
}

function sizeOf(attributes: Attributes): number {
  let bytes = 0;
  for (const [name, { DataType = "", StringValue = "", BinaryValue }] of Object.entries(attributes)) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(DataType);
    bytes += Buffer.byteLength(StringValue) + (BinaryValue?.byteLength ?? 0);
  }
  return bytes;
}

/** At most `bytes` of `body`, without half a character at the end. */
function cut(body: string, bytes: number): string {
  const part = Buffer.from(body, "utf8").subarray(0, Math.max(1, bytes));
  return new TextDecoder("utf-8").decode(part, { stream: true });
}
