/**
 * Every code the system can raise, and what a consumer does about it.
 *
 * `retry`: the same thing may work later. `terminal`: it will not. `bug`: we are wrong; a person must read the log.
 * Append only: codes are in people's scripts.
 */
const CODES = {
  TOR_ADDRESS_IN_USE: "terminal",
  TOR_ARCHIVED: "terminal",
  TOR_ARTIFACTS_UNREACHABLE: "retry",
  TOR_ARTIFACT_MISSING: "terminal",
  TOR_BAKE_CREDENTIALS: "terminal",
  TOR_BAKE_QUOTA: "terminal",
  TOR_BAKE_REFUSED: "terminal",
  TOR_BAKE_TIMEOUT: "terminal",
  TOR_CHECK_DENIES: "retry",
  TOR_CHECKOUT_FAILED: "retry",
  TOR_CONFIG_INVALID: "terminal",
  TOR_CONFLICT: "retry",
  TOR_DECODE: "terminal",
  TOR_DISK_FULL: "retry",
  TOR_DNS_UNREACHABLE: "retry",
  TOR_EC2_UNREACHABLE: "retry",
  TOR_EXECUTOR_STOPPED: "retry",
  TOR_FENCED: "terminal",
  TOR_GIT_AUTH: "terminal",
  TOR_GIT_UNREACHABLE: "retry",
  TOR_GITHUB_UNREACHABLE: "retry",
  TOR_HOST_CLOSED: "terminal",
  TOR_HOST_UNKNOWN: "terminal",
  TOR_IMAGE_DAMAGED: "terminal",
  TOR_IMAGE_MISSING: "terminal",
  TOR_INTERNAL: "bug",
  TOR_INTERRUPTED: "terminal",
  TOR_INVALID_INPUT: "terminal",
  TOR_MIRROR_UNREACHABLE: "retry",
  TOR_NATS_UNREACHABLE: "retry",
  TOR_NETWORK_MISSING: "terminal",
  TOR_NOT_ALLOWED: "terminal",
  TOR_NOT_FOUND: "terminal",
  TOR_NOT_ROOT: "terminal",
  TOR_QUEUE_UNREACHABLE: "retry",
  TOR_RATE_LIMITED: "retry",
  TOR_REFUSED: "terminal",
  TOR_REGISTRY_AUTH: "terminal",
  TOR_REGISTRY_UNREACHABLE: "retry",
  TOR_SANDBOX_SETUP: "retry",
  TOR_SCRIPT_TEMPFAIL: "retry",
  TOR_SECRET_MISSING: "terminal",
  TOR_SECRET_REFUSED: "terminal",
  TOR_SERVER_UNREACHABLE: "retry",
  TOR_SIGNED_OUT: "terminal",
  TOR_START_TIMEOUT: "retry",
  TOR_STORE_LAZY: "terminal",
  TOR_STORE_OLDER: "terminal",
  TOR_STREAM_MISMATCH: "terminal",
  TOR_TOOL_MISSING: "terminal",
  TOR_TRANSITION_ILLEGAL: "bug",
  TOR_VERSION_NEWER: "retry",
  TOR_VERSION_OLDER: "retry",
} as const satisfies Record<string, "retry" | "terminal" | "bug">;

export type Code = keyof typeof CODES;
/** In the order of their names. */
export const ALL_CODES = Object.keys(CODES) as readonly Code[];
export type Disposition = (typeof CODES)[Code];

/** Facts of an error that a program may read: flat, JSON-safe. */
export type Details = Readonly<Record<string, string | number | boolean | null>>;

/** An error with a code from the catalogue, one sentence for people, and facts for programs. */
export class ToroidError extends Error {
  readonly code: Code;
  readonly details: Details;

  constructor(code: Code, message: string, details: Details = {}, options?: ErrorOptions) {
    super(message, options);
    this.name = "ToroidError";
    this.code = code;
    this.details = details;
  }
}

/** What to do about `error`; anything that is not ours is a bug of ours. */
export function dispositionOf(error: unknown): Disposition {
  return error instanceof ToroidError ? CODES[error.code] : "bug";
}

/** One sentence for a person, whatever was thrown. */
export function sentenceOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Marks a `switch` over a union as complete; unreachable unless a type lies. */
export function assertNever(value: never, what: string): never {
  throw new ToroidError("TOR_INTERNAL", `unexpected ${what}: ${JSON.stringify(value)}`);
}
