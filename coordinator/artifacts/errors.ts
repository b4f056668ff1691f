/** What EC2 says when it says no. */
import { sentenceOf } from "../../protocol/errors.ts";

/** There is no such thing, or not any more: whoever wants it removed has what he wants. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && /\.(NotFound|Unavailable|Malformed)$/.test(error.name);
}

/** Something else uses it still, or just now. */
export function isInUse(error: unknown): boolean {
  return error instanceof Error && /\.InUse$|^(DependencyViolation|VolumeInUse|IncorrectState)$/.test(error.name);
}

/** In one sentence: the name by which EC2 calls it is what one looks up. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return sentenceOf(error);
  // Of connections that failed on every address the SDK says no more than that.
  const causes = "errors" in error && Array.isArray(error.errors) ? error.errors.map(sentenceOf) : [];
  const text = error.message === "" ? [...new Set(causes)].join(", ") : error.message;
  return text === "" ? error.name : `${text} (${error.name})`;
}
