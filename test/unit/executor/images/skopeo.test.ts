/** What skopeo's complaints mean, in its own words as several versions have them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Refused } from "../../../../executor/images/oci/refused.ts";
import { failureSaid } from "../../../../executor/images/oci/skopeo.ts";
import { ToroidError } from "../../../../protocol/errors.ts";

const fatal = (message: string): string => `time="2026-11-26T01:29:37Z" level=fatal msg=${JSON.stringify(message)}`;

for (const [said, code] of [
  ["reading manifest 2 in 127.0.0.1:5000/there: manifest unknown", "refused"],
  ["Error reading manifest 1 in registry/x: name unknown: repository name not known to registry", "refused"],
  [
    "reading manifest latest in docker.io/library/nowhere: requested access to the resource is denied",
    "TOR_REGISTRY_AUTH",
  ],
  ["reading manifest 1 in r/x: unauthorized: authentication required", "TOR_REGISTRY_AUTH"],
  ['pinging container registry r: Get "https://r/v2/": dial tcp: lookup r: no such host', "TOR_REGISTRY_UNREACHABLE"],
  [
    'pinging container registry r: Get "https://r/v2/": http: server gave HTTP response to HTTPS client',
    "TOR_REGISTRY_UNREACHABLE",
  ],
  [
    'pinging container registry r: Get "https://r/v2/": x509: certificate signed by unknown authority',
    "TOR_REGISTRY_UNREACHABLE",
  ],
  [
    "reading manifest 22 in docker.io/library/node: toomanyrequests: You have reached your pull rate limit",
    "TOR_REGISTRY_UNREACHABLE",
  ],
  ["Error reading blob sha256:ab: received unexpected HTTP status: 502 Bad Gateway", "TOR_REGISTRY_UNREACHABLE"],
  ['writing blob: storing blob to file "/x": write /x: no space left on device', "TOR_DISK_FULL"],
  ["writing blob: Digest did not match, expected sha256:aa, got sha256:bb", "TOR_IMAGE_DAMAGED"],
  ["something that nobody has seen yet", "TOR_IMAGE_MISSING"],
] as const) {
  test(`${code}: ${said}`, () => {
    const error = failureSaid(`time="x" level=warning msg="by the way"\n${fatal(said)}\n`, "r.example/x:1", null);
    assert.equal(error instanceof ToroidError ? error.code : error instanceof Refused && "refused", code);
    assert.ok(!error.message.includes("level="), error.message);
  });
}
