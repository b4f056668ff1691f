/** Completion as a shell has it: the script that we print, loaded by a real bash, with somebody pressing Tab. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { build, environment } from "../../support/summaries.ts";
import { FakeCoordinator } from "./fake-coordinator.ts";
import { BIN, toroid } from "./toroid.ts";

const ANSWERS = {
  "GET /api/v1/builds": { json: { builds: [build(42), build(41, { repository: "acme/web" })], next: null } },
  "GET /api/v1/repositories": {
    json: {
      repositories: [
        { repository: "acme/api", builds: 42, environments: [environment()] },
        {
          repository: "acme/web",
          builds: 41,
          environments: [environment({ repository: "acme/web", environment: "live" })],
        },
      ],
    },
  },
};

async function suggestions(server: string, ...words: readonly string[]): Promise<readonly string[]> {
  const { exit, out, err } = await toroid(["complete", "--", ...words], { env: { TOROID_URL: server } });
  assert.deepEqual([exit, err], [0, ""]);
  return out.split("\n").flatMap((line) => (line === "" || line.startsWith(":") ? [] : [line.split("\t")[0] ?? ""]));
}

describe("completion", { concurrency: 2 }, () => {
  test("knows commands, flags, and their values without any coordinator", async () => {
    const nobody = "http://127.0.0.1:9";
    assert.deepEqual(await suggestions(nobody, "sta"), ["start", "status"]);
    assert.deepEqual(await suggestions(nobody, "image", ""), ["ls", "pull", "rm", "gc"]);
    assert.deepEqual(await suggestions(nobody, "pause", "acme/api", "prod", "--"), [
      "--reason",
      "--until",
      "--json",
      "--server",
      "--as",
    ]);
    assert.deepEqual(await suggestions(nobody, "builds", "--state", "p"), ["planning", "passed"]);
    assert.deepEqual(await suggestions(nobody, "cancel", ""), []);
  });

  test("knows what the coordinator has: builds, repositories, environments of the one that is named, stages", async () => {
    await using server = await FakeCoordinator.start(ANSWERS);
    assert.deepEqual(await suggestions(server.url, "cancel", "acme/a"), ["acme/api#42"]);
    assert.deepEqual(await suggestions(server.url, "pause", ""), ["acme/api", "acme/web"]);
    assert.deepEqual(await suggestions(server.url, "pause", "acme/web", ""), ["live"]);
    assert.deepEqual(await suggestions(server.url, "logs", "acme/api#42", ""), ["build", "prod"]);
    assert.deepEqual(await suggestions(server.url, "wait", "acme/api#42", "--environment", ""), ["prod"]);
  });

  test("bash takes the script, and what Tab finds", async () => {
    await using server = await FakeCoordinator.start(ANSWERS);
    const lines = [
      'toroid() { "$NODE" "$BIN" "$@"; }',
      "source <(toroid completion bash)",
      "COMP_WORDS=(toroid pause acme/w); COMP_CWORD=2",
      "_toroid",
      'printf "%s\\n" "$(complete -p toroid)" "${COMPREPLY[@]}"',
    ];
    const env = { ...process.env, NODE: process.execPath, BIN, TOROID_URL: server.url };
    const { stdout, stderr } = await promisify(execFile)("bash", ["-c", lines.join("\n")], { env });
    assert.deepEqual([stdout, stderr], ["complete -F _toroid toroid\nacme/web\n", ""]);
  });

  test("is there for bash, zsh and fish, and for nothing else", async () => {
    for (const [shell, says] of [
      ["bash", /complete -F/],
      ["zsh", /^#compdef toroid\n/],
      ["fish", /complete -c toroid/],
    ] as const) {
      const { exit, out, err } = await toroid(["completion", shell]);
      assert.deepEqual([exit, err], [0, ""]);
      assert.match(out, says);
    }
    assert.equal((await toroid(["completion", "cmd"])).exit, 2);
  });
});
