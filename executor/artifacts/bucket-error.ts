/** One sentence and a code for whatever the S3 client threw. Pure. */
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";

export interface BucketPlace {
  readonly bucket: string;
  /** Empty, or ends with `/`. */
  readonly prefix: string;
  /** null: AWS's own. */
  readonly endpoint: string | null;
}

/** What AWS says when it knows who asks, or cannot, and says no. */
const REFUSED = new Set([
  "AccessDenied",
  "AccountProblem",
  "AllAccessDisabled",
  "ExpiredToken",
  "Forbidden",
  "InvalidAccessKeyId",
  "InvalidToken",
  "NotSignedUp",
  "SignatureDoesNotMatch",
]);

const ELSEWHERE = new Set(["AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"]);

/**
 * @param doing what was tried: `write an archive`
 * @param permission of AWS that it needs
 */
export function bucketError(
  thrown: unknown,
  place: BucketPlace,
  { doing, permission }: { readonly doing: string; readonly permission: string },
): ToroidError {
  if (thrown instanceof ToroidError) return thrown;
  const name = nameOf(thrown);
  const at = urlOf(place);
  const wrong = (sentence: string): ToroidError =>
    new ToroidError("TOR_CONFIG_INVALID", `TOROID_ARTIFACTS: ${sentence}`, { name, at }, { cause: thrown });
  if (name === "CredentialsProviderError" || name === "TokenProviderError") {
    return wrong(
      `there are no AWS credentials for ${at}: set TOROID_ARTIFACTS_ACCESS_KEY_ID and TOROID_ARTIFACTS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the host a role`,
    );
  }
  if (sentenceOf(thrown) === "Region is missing") {
    return wrong(`no AWS region is known for ${at}: set TOROID_ARTIFACTS_REGION`);
  }
  const status = statusOf(thrown);
  if (name === "NoSuchBucket" || (name === "NotFound" && status === 404)) {
    return wrong(
      `there is no bucket ${place.bucket}${place.endpoint === null ? "" : ` at ${place.endpoint}`}: make it`,
    );
  }
  if (ELSEWHERE.has(name) || status === 301) {
    return wrong(`the bucket ${place.bucket} is in another region: set TOROID_ARTIFACTS_REGION to that`);
  }
  if (REFUSED.has(name) || status === 401 || status === 403) {
    return wrong(
      `${at} refuses to let this executor ${doing} (${shownName(name, status)}): its credentials need ${permission} there, or others have to be set`,
    );
  }
  return new ToroidError(
    "TOR_ARTIFACTS_UNREACHABLE",
    `cannot ${doing} at ${at}: ${reasonOf(thrown)}`,
    { name, at },
    { cause: thrown },
  );
}

export function urlOf({ bucket, prefix, endpoint }: BucketPlace): string {
  return `s3://${bucket}/${prefix}${endpoint === null ? "" : ` (${endpoint})`}`;
}

function nameOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return "unknown";
  if ("Code" in thrown && typeof thrown.Code === "string") return thrown.Code;
  return thrown.name;
}

/** An answer without a body has no name. */
function shownName(name: string, status: number | null): string {
  return name.startsWith("Unknown") && status !== null ? `HTTP ${status}` : name;
}

/** null: there was no answer. */
export function statusOf(thrown: unknown): number | null {
  const about = thrown instanceof Error && "$metadata" in thrown ? thrown.$metadata : null;
  if (typeof about !== "object" || about === null || !("httpStatusCode" in about)) return null;
  return typeof about.httpStatusCode === "number" ? about.httpStatusCode : null;
}

function reasonOf(thrown: unknown): string {
  const [first] = thrown instanceof AggregateError ? thrown.errors : [thrown];
  const text = sentenceOf(first);
  return text === "" || text === "UnknownError" ? nameOf(thrown) : text;
}
