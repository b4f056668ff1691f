import assert from "node:assert/strict";
import { test } from "node:test";
import { fetchFailure, localFailure, lockIn, wordsOf } from "../../../../executor/checkout/failure.ts";

const address = { url: "https://x/y.git", protocol: "https", shown: "https://x/y.git" } as const;

for (const [stderr, code] of [
  ["fatal: could not read Username for 'https://x': terminal prompts disabled", "TOR_GIT_AUTH"],
  ["remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://x/y.git/'", "TOR_GIT_AUTH"],
  ["git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.", "TOR_GIT_AUTH"],
  ["Host key verification failed.\nfatal: Could not read from remote repository.", "TOR_GIT_AUTH"],
  ["fatal: remote error: upload-pack: not our ref 1111111111111111111111111111111111111111", "TOR_NOT_FOUND"],
  ["fatal: couldn't find remote ref refs/heads/gone", "TOR_NOT_FOUND"],
  ["remote: Repository not found.\nfatal: repository 'https://x/y.git/' not found", "TOR_NOT_FOUND"],
  ["fatal: unable to access 'https://x/': Could not resolve host: x", "TOR_GIT_UNREACHABLE"],
  ["fatal: nothing was heard for 60 s", "TOR_GIT_UNREACHABLE"],
  ["fatal: write error: No space left on device\nfatal: index-pack failed", "TOR_DISK_FULL"],
] as const) {
  test(`${JSON.stringify(stderr.slice(0, 60))} means ${code}`, () => {
    assert.equal(fetchFailure(address, "main", stderr, null).code, code);
  });
}

test("git's own sentence is told, without its prefix, its hints and its passwords", () => {
  assert.equal(wordsOf("hint: try\nfatal: cannot do 'https://u:p@h/x'\n"), "cannot do 'https://…@h/x'");
  assert.equal(wordsOf("  \n"), "git said nothing");
  assert.equal(
    localFailure("check out", "error: unable to read tree", null).message,
    "cannot check out: unable to read tree",
  );
});

test("a lock in the way is named", () => {
  assert.equal(lockIn("fatal: Unable to create '/m/refs/heads/a.lock': File exists."), "/m/refs/heads/a.lock");
  assert.equal(lockIn("fatal: other"), null);
});
