/** What mmdebstrap's last words mean, as version 1.3.5 says them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { failureOf } from "../../../../executor/images/debian.ts";
import { Refused } from "../../../../executor/images/oci/refused.ts";
import { ToroidError } from "../../../../protocol/errors.ts";

const END =
  "E: apt-get update --error-on=any -oAPT::Status-Fd=<$fd> failed\nI: removing tempdir\nE: mmdebstrap failed to run\n";

for (const [said, code, words] of [
  [
    "Err:2 http://m nowhere Release\n  404  Not Found\nE: The repository 'http://m nowhere Release' does not have a Release file.\n",
    "refused",
    "E: The repository 'http://m nowhere Release' does not have a Release file.",
  ],
  [
    "Building dependency tree...\nE: Unable to locate package nosuch\nE: setup failed: E: apt-get install failed\n",
    "refused",
    "E: Unable to locate package nosuch",
  ],
  [
    "E: Failed to fetch http://m/InRelease  Could not connect to m:80. - connect (111: Connection refused)\nE: Some index files failed\n",
    "TOR_MIRROR_UNREACHABLE",
    "E: Failed to fetch http://m/InRelease  Could not connect to m:80. - connect (111: Connection refused)",
  ],
  [
    "E: Failed to fetch http://m/InRelease  Temporary failure resolving 'm'\n",
    "TOR_MIRROR_UNREACHABLE",
    "E: Failed to fetch http://m/InRelease  Temporary failure resolving 'm'",
  ],
  [
    "dpkg: error: cannot write: No space left on device\nE: Sub-process dpkg returned an error code\n",
    "TOR_DISK_FULL",
    "the executor's disk is full",
  ],
  ["E: Something else\n", "TOR_IMAGE_MISSING", "E: Something else"],
] as const) {
  test(`${code}: ${words}`, () => {
    const error = failureOf(said + END, "debian:x");
    assert.equal(error instanceof ToroidError ? error.code : error instanceof Refused && "refused", code);
    assert.ok(error.message.endsWith(words), error.message);
  });
}
