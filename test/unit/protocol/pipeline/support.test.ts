import assert from "node:assert/strict";
import { test } from "node:test";
import { lint } from "../../../../protocol/pipeline/plan.ts";
import { framed } from "./support.ts";

const ASKS: Readonly<Record<string, string>> = {
  cache: "cache: [node_modules]",
  services: "services: [postgres]",
};

for (const [path, text] of Object.entries(ASKS)) {
  test(`\`${path}\` is told as not supported yet, at its key`, () => {
    const problems = lint(".toroid.yml", `script: make\n${text}\n`);
    assert.deepEqual(
      problems.map((problem) => [problem.kind, problem.path, problem.line]),
      [["unsupported", path, 2]],
    );
    const key = path.split(".").at(-1);
    const sentence = `\`${key}\` is understood, but this version of Toroid cannot `;
    assert.ok(
      problems[0]?.message.startsWith(sentence) && problems[0].message.endsWith(" yet"),
      JSON.stringify(problems),
    );
  });
}

test("a key that asks for nothing is fine", () => {
  for (const text of [
    "secrets: []",
    "cache: []",
    "services: []",
    "notify: []",
    "notify: team",
    "notify: [team, { to: ops, on: always, branches: [main, 'release/*'] }]",
    "concurrency: { cancel_superseded: false }",
    "concurrency: {}",
    "image: { packer: .packer }",
    "artifact: { ami: {} }",
    'artifact: { ami: { regions: eu-west-1, share: "123456789012" } }',
    "network: none",
    "network: [registry.example]",
    "environments: { prod: { run: ./deploy, queue: every, network: full } }",
  ])
    assert.equal(framed(`script: make\n${text}\n`), "", text);
});

test("what is not supported is framed like any problem, with what to do", () => {
  assert.equal(
    framed("script: make\nservices: [postgres]\n"),
    `.toroid.yml:2:1: \`services\` is understood, but this version of Toroid cannot start services beside a build yet
  1 | script: make
  2 | services: [postgres]
    | ^^^^^^^^
    = remove the key, or wait for the release that says it can`,
  );
});
