import { ToroidError } from "../../../protocol/errors.ts";

const NO_QUEUE = new Set(["QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "InvalidAddress"]);

/** What AWS says when it knows who asks, or cannot, and says no. */
const REFUSED = new Set([
  "AccessDenied",
  "AccessDeniedException",
  "ExpiredToken",
  "ExpiredTokenException",
  "IncompleteSignature",
  "InvalidAccessKeyId",
  "InvalidClientTokenId",
  "InvalidSecurity",
  "InvalidSignatureException",
  "KmsAccessDenied",
  "MissingAuthenticationToken",
  "NotAuthorized",
  "SignatureDoesNotMatch",
  "UnrecognizedClientException",
]);

/** One sentence and a code for whatever the SDK threw. What only a person can mend is TOR_CONFIG_INVALID. */
export function queueError(thrown: unknown): ToroidError {
  if (thrown instanceof ToroidError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const name = nameOf(error);
  const details = { name };
  const options = { cause: error };
  if (NO_QUEUE.has(name)) return new ToroidError("TOR_CONFIG_INVALID", "the queue does not exist", details, options);
  if (name === "CredentialsProviderError" || name === "TokenProviderError") {
    const message =
      "there are no AWS credentials for the queue: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or give the host a role";
    return new ToroidError("TOR_CONFIG_INVALID", message, details, options);
  }
  if (REFUSED.has(name)) {
    return new ToroidError(
      "TOR_CONFIG_INVALID",
      `the queue refuses our credentials (${name}): ${error.message}`,
      details,
      options,
    );
  }
  if (error.message === "Region is missing") {
    return new ToroidError(
      "TOR_CONFIG_INVALID",
      "no AWS region is set for the queue: set AWS_REGION",
      details,
      options,
    );
  }
  return new ToroidError("TOR_QUEUE_UNREACHABLE", `the queue cannot be reached: ${reasonOf(error)}`, details, options);
}

/** The same, naming the queue. */
export function queueErrorAt(url: string, thrown: unknown): ToroidError {
  const { code, message, details, cause } = queueError(thrown);
  return new ToroidError(code, `${message} (${url})`, { ...details, url }, { cause });
}

function nameOf(error: Error): string {
  if ("Code" in error && typeof error.Code === "string") return error.Code;
  return error.name;
}

function reasonOf(error: Error): string {
  const [first] = error instanceof AggregateError ? error.errors : [error];
  const text = first instanceof Error ? first.message : error.message;
  return text === "" ? error.name : text;
}
