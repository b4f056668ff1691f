import { Packr } from "msgpackr";
import type { z } from "zod";
import { ToroidError } from "./errors.ts";
import { PROTOCOL_VERSION, statedVersion } from "./versions.ts";

/** First byte of every message: the version of the framing, not of what it carries. */
export const FRAME_VERSION = 1;

/** The largest message we write or read. NATS allows 1 MiB; the rest is for headers. */
export const MESSAGE_LIMIT_BYTES = 1_000_000;

// Shared structures would be unreadable for another process; integers stay numbers or become bigint only past 2^53.
const packr = new Packr({ useRecords: false, int64AsType: "number", variableMapSize: true });

/**
 * Encodes `value` as msgpack behind a version byte.
 *
 * @throws {ToroidError} TOR_INVALID_INPUT when the result would exceed {@link MESSAGE_LIMIT_BYTES}.
 */
export function encode(value: unknown): Uint8Array {
  const body = packr.pack(value);
  if (body.byteLength + 1 > MESSAGE_LIMIT_BYTES) {
    throw new ToroidError(
      "TOR_INVALID_INPUT",
      `a message of ${body.byteLength} bytes is over the limit of ${MESSAGE_LIMIT_BYTES}`,
      {
        bytes: body.byteLength,
      },
    );
  }
  const framed = new Uint8Array(body.byteLength + 1);
  framed[0] = FRAME_VERSION;
  framed.set(body, 1);
  return framed;
}

/** Did {@link encode} refuse it for its size? What stages leave for others is all that can grow so far. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof ToroidError && error.code === "TOR_INVALID_INPUT";
}

/**
 * Decodes what {@link encode} made and checks it against `schema`.
 *
 * @throws {ToroidError} TOR_DECODE for foreign bytes, another framing, too large a message, or another shape;
 * TOR_VERSION_NEWER for a message that only a newer version of Toroid understands.
 */
export function decode<T>(schema: z.ZodType<T>, bytes: Uint8Array): T {
  if (bytes.byteLength > MESSAGE_LIMIT_BYTES) {
    throw new ToroidError("TOR_DECODE", `a message of ${bytes.byteLength} bytes is over the limit`, {
      bytes: bytes.byteLength,
    });
  }
  if (bytes[0] !== FRAME_VERSION) {
    throw new ToroidError(
      "TOR_DECODE",
      `a message of frame version ${bytes[0] ?? "none"} cannot be read by this version of Toroid`,
    );
  }
  let value: unknown;
  try {
    value = packr.unpack(bytes.subarray(1));
  } catch (cause) {
    throw new ToroidError("TOR_DECODE", "a message is not msgpack", {}, { cause });
  }
  const version = statedVersion(value);
  if (version > PROTOCOL_VERSION) {
    throw new ToroidError(
      "TOR_VERSION_NEWER",
      `a message is of version ${version} of the protocol, and this Toroid knows ${PROTOCOL_VERSION} at most: upgrade it`,
      { version, known: PROTOCOL_VERSION },
    );
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    const first = result.error.issues[0];
    const where = first === undefined ? "" : ` at ${first.path.map(String).join(".") || "its top"}: ${first.message}`;
    throw new ToroidError(
      "TOR_DECODE",
      `a message does not have the shape it should${where}`,
      {},
      { cause: result.error },
    );
  }
  return result.data;
}
