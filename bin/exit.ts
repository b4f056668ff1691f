import { ToroidError } from "../protocol/errors.ts";

/** What a script may rely on. Append only. */
export const EXIT = {
  ok: 0,
  /** A build or deploy failed. */
  failed: 1,
  /** Usage, or configuration: this command, as given, will not work. */
  usage: 2,
  auth: 3,
  notFound: 4,
  /** Paused, or in a state that forbids it. */
  blocked: 5,
  /** The server or the way to it, or a fault of ours. */
  server: 6,
  /** `toroid wait` was told to wait no longer. */
  late: 124,
  interrupted: 130,
} as const;

/** For people, by code. */
export const EXIT_MEANINGS: Readonly<Record<number, string>> = {
  [EXIT.ok]: "ok",
  [EXIT.failed]: "build or deploy failed",
  [EXIT.usage]: "usage or configuration",
  [EXIT.auth]: "not allowed",
  [EXIT.notFound]: "not found",
  [EXIT.blocked]: "paused or blocked",
  [EXIT.server]: "server or network",
  [EXIT.late]: "waited too long",
  [EXIT.interrupted]: "interrupted",
};

/**
 * An error that says which exit code it is. Carries any code, since a server may be newer than this program; `message`
 * is one sentence.
 */
export class Failure extends Error {
  readonly code: string;
  readonly exit: number;

  constructor(exit: number, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "Failure";
    this.code = code;
    this.exit = exit;
  }
}

/** A wrong argument or option. */
export function usageError(message: string): Failure {
  return new Failure(EXIT.usage, "TOR_INVALID_INPUT", message);
}

const BY_CODE: Readonly<Record<string, number>> = {
  TOR_ADDRESS_IN_USE: EXIT.usage,
  TOR_CONFIG_INVALID: EXIT.usage,
  TOR_CONFLICT: EXIT.blocked,
  TOR_GIT_AUTH: EXIT.auth,
  TOR_IMAGE_MISSING: EXIT.usage,
  TOR_INVALID_INPUT: EXIT.usage,
  TOR_NETWORK_MISSING: EXIT.usage,
  TOR_NOT_ALLOWED: EXIT.auth,
  TOR_NOT_FOUND: EXIT.notFound,
  TOR_NOT_ROOT: EXIT.usage,
  TOR_REFUSED: EXIT.blocked,
  TOR_STREAM_MISMATCH: EXIT.usage,
  TOR_TOOL_MISSING: EXIT.usage,
};

const BY_STATUS: Readonly<Record<number, number>> = {
  400: EXIT.usage,
  401: EXIT.auth,
  403: EXIT.auth,
  404: EXIT.notFound,
  409: EXIT.blocked,
  422: EXIT.usage,
  423: EXIT.blocked,
};

export function exitOfStatus(status: number): number {
  return BY_STATUS[status] ?? EXIT.server;
}

export function exitOf(error: unknown): number {
  if (error instanceof Failure) return error.exit;
  return error instanceof ToroidError ? (BY_CODE[error.code] ?? EXIT.server) : EXIT.server;
}
