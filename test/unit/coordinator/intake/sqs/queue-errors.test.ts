import assert from "node:assert/strict";
import { test } from "node:test";
import { QueueDoesNotExist } from "@aws-sdk/client-sqs";
import { queueError } from "../../../../../coordinator/intake/sqs/queue-errors.ts";

function named(name: string, message: string): Error {
  return Object.assign(new Error(message), { name });
}

const CASES: readonly [string, unknown, string, RegExp][] = [
  [
    "a queue that is not there",
    new QueueDoesNotExist({ message: "no", $metadata: {} }),
    "TOR_CONFIG_INVALID",
    /does not exist/,
  ],
  ["no credentials", named("CredentialsProviderError", "Could not load"), "TOR_CONFIG_INVALID", /no AWS credentials/],
  [
    "a wrong key",
    named("InvalidClientTokenId", "The token is invalid"),
    "TOR_CONFIG_INVALID",
    /refuses our credentials \(InvalidClientTokenId\)/,
  ],
  ["a wrong secret", named("SignatureDoesNotMatch", "no match"), "TOR_CONFIG_INVALID", /refuses our credentials/],
  [
    "no permission",
    named("AccessDenied", "not authorized to perform: sqs:receivemessage"),
    "TOR_CONFIG_INVALID",
    /sqs:receivemessage/,
  ],
  ["no region", new Error("Region is missing"), "TOR_CONFIG_INVALID", /AWS_REGION/],
  [
    "nobody there",
    Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:1"), { code: "ECONNREFUSED" }),
    "TOR_QUEUE_UNREACHABLE",
    /ECONNREFUSED 127/,
  ],
  [
    "nobody at any address",
    new AggregateError([new Error("connect ECONNREFUSED ::1:1")], ""),
    "TOR_QUEUE_UNREACHABLE",
    /ECONNREFUSED ::1/,
  ],
  ["no answer", named("TimeoutError", "Request timed out"), "TOR_QUEUE_UNREACHABLE", /timed out/],
  ["a fault at AWS", named("InternalFailure", ""), "TOR_QUEUE_UNREACHABLE", /InternalFailure/],
];

for (const [what, thrown, code, message] of CASES) {
  test(`${what} is ${code}`, () => {
    const error = queueError(thrown);
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.equal(error.cause, thrown);
  });
}
