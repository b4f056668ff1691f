/** Whose fault it is that an AMI cannot be baked, by what EC2 and Packer say. Pure. */
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import type { Ruling } from "../workspace/outcome.ts";

const CREDENTIALS =
  /\b(AuthFailure|InvalidClientTokenId|UnauthorizedOperation|UnrecognizedClientException|SignatureDoesNotMatch|ExpiredToken|RequestExpired|OptInRequired|AccessDenied\w*|NoCredentialProviders)\b|no valid credential/;
const QUOTA =
  /\b(\w*(?:LimitExceeded|QuotaExceeded)|InsufficientInstanceCapacity|InsufficientFreeAddressesInSubnet|Throttling\w*)\b/;
const PLUGIN =
  /Missing plugins|plugins? (?:are|is) not installed|could not find .*plugin|[Ff]ailed to load source type|[Uu]nknown (?:source|builder)(?: type)? "?amazon|required_plugins/;
const UNREACHABLE =
  /\b(ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH)\b|connection refused|no such host|i\/o timeout/;

export function failed(message: string, exitCode: number | null = null): Ruling {
  return { kind: "ended", outcome: "failed", message, exitCode, signal: null, phase: "bake" };
}

export function errored(code: string, message: string, retryable: boolean): Ruling {
  return { kind: "errored", code, message, retryable };
}

/** @param said by Packer, as the reason of its end */
export function packerFailed(said: string, exitCode: number | null): Ruling {
  if (CREDENTIALS.test(said)) return errored("TOR_BAKE_CREDENTIALS", credentialsRefused(said), false);
  if (QUOTA.test(said)) return errored("TOR_BAKE_QUOTA", quotaReached(said), false);
  if (PLUGIN.test(said)) {
    const message = `Packer lacks a plugin that the template needs (plugins of this executor are in /usr/local/share/packer/plugins): ${said}`;
    return errored("TOR_TOOL_MISSING", message, false);
  }
  return failed(`Packer: ${said}`, exitCode);
}

/** What a call to EC2 threw, as an error of ours. */
export function ec2Failure(error: unknown, what: string): ToroidError {
  if (error instanceof ToroidError) return error;
  const name = error instanceof Error ? error.name : "";
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const said = `${name}: ${sentenceOf(error)}`;
  const options = { cause: error };
  if (CREDENTIALS.test(said)) return new ToroidError("TOR_BAKE_CREDENTIALS", credentialsRefused(said), {}, options);
  if (QUOTA.test(said)) return new ToroidError("TOR_BAKE_QUOTA", quotaReached(said), {}, options);
  if (UNREACHABLE.test(`${code} ${said}`) || /Timeout/.test(name)) {
    const message = `EC2 does not answer, so that ${what} is not possible: ${said}`;
    return new ToroidError("TOR_EC2_UNREACHABLE", message, {}, options);
  }
  return new ToroidError("TOR_BAKE_REFUSED", `EC2 refuses ${what}: ${said}`, {}, options);
}

function credentialsRefused(said: string): string {
  return `AWS refuses the credentials that this executor bakes with (TOROID_BAKE_ACCESS_KEY_ID): ${said}`;
}

function quotaReached(said: string): string {
  return `AWS refuses more than the account's quota; try again when there is room, or have it raised: ${said}`;
}
