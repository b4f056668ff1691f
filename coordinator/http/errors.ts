import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { hasZodFastifySchemaValidationErrors } from "fastify-type-provider-zod";
import { ALL_CODES, type Code, type Details, sentenceOf, ToroidError } from "../../protocol/errors.ts";

/** The body of every answer that is not a success. Codes are append-only. */
export interface ErrorBody {
  readonly code: Code;
  readonly message: string;
  readonly details: Details;
  readonly docs: string;
  readonly requestId: string;
}

declare module "fastify" {
  interface FastifyRequest {
    /** The code that it was refused with; null: it was not, so far. */
    refusedWith: Code | null;
  }
}

const STATUS: Partial<Record<Code, number>> = {
  TOR_SIGNED_OUT: 401,
  TOR_NOT_ALLOWED: 403,
  TOR_NOT_FOUND: 404,
  TOR_RATE_LIMITED: 429,
  TOR_CONFLICT: 409,
  TOR_REFUSED: 409,
  TOR_ARCHIVED: 410,
  TOR_INVALID_INPUT: 400,
  TOR_DECODE: 400,
  TOR_NATS_UNREACHABLE: 503,
  TOR_GITHUB_UNREACHABLE: 503,
  TOR_EC2_UNREACHABLE: 503,
  TOR_DISK_FULL: 503,
  TOR_VERSION_NEWER: 503,
};

const OTHERWISE = 500;

/** Which codes an answer with a status can have: of those without one of their own only what is our own fault. */
export const CODES_BY_STATUS: ReadonlyMap<number, readonly Code[]> = new Map(
  [...new Set([...Object.values(STATUS), OTHERWISE])]
    .sort((a, b) => a - b)
    .map((status) => [
      status,
      status === OTHERWISE ? ALL_CODES.filter((code) => STATUS[code] === undefined) : codesOf(status),
    ]),
);

function codesOf(status: number): readonly Code[] {
  return ALL_CODES.filter((code) => STATUS[code] === status);
}

/** What the NATS library throws when the server is away. */
const STORE_AWAY: ReadonlySet<string> = new Set([
  "TimeoutError",
  "RequestError",
  "NoRespondersError",
  "ClosedConnectionError",
  "ConnectionError",
]);

export function notFound(what: string): ToroidError {
  return new ToroidError("TOR_NOT_FOUND", `there is no ${what}`);
}

/** Answers with the error's own code and sentence; what is not ours is a 500 that says nothing of our insides. */
export function sendError(error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): void {
  const known = asToroidError(error);
  if (known === null) request.log.error({ err: error, url: request.url }, "a request failed");
  const code = known?.code ?? "TOR_INTERNAL";
  request.refusedWith = code;
  const body: ErrorBody = {
    code,
    message: known?.message ?? "the coordinator could not answer; its log says why",
    details: known?.details ?? {},
    docs: `MANUAL.md#${code.toLowerCase().replaceAll("_", "-")}`,
    requestId: request.id,
  };
  const status = STATUS[code] ?? OTHERWISE;
  const wait = known?.details["retryAfter"];
  if (status === 429 && typeof wait === "number") void reply.header("retry-after", String(wait));
  if (status === 401) void reply.header("www-authenticate", "Bearer");
  void reply.status(status).send(body);
}

function asToroidError(error: FastifyError | Error): ToroidError | null {
  if (error instanceof ToroidError) return error;
  if (hasZodFastifySchemaValidationErrors(error)) {
    const first = error.validation[0];
    const where = `${error.validationContext ?? "request"}${first?.instancePath ?? ""}`;
    return new ToroidError("TOR_INVALID_INPUT", `${where}: ${first?.message ?? "not as expected"}`);
  }
  if (STORE_AWAY.has(error.name)) {
    return new ToroidError("TOR_NATS_UNREACHABLE", "the store does not answer: try again", {}, { cause: error });
  }
  if ("statusCode" in error && typeof error.statusCode === "number" && error.statusCode < 500) {
    return new ToroidError("TOR_INVALID_INPUT", sentenceOf(error));
  }
  return null;
}
