/** Secrets through a whole executor: who gets them, and where they never show. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { chown, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import type { Work } from "../../../protocol/work.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../../support/leaks.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { NEEDS, Rig, type RunningExecutor } from "./rig.ts";

const T = { timeout: 60_000 };
/** Of an executor that nobody named. */
const OWN_UID = 65_520;
const VALUE = "s3cr3t-of-the-api-7f3a";
const OF_PROD = "s3cr3t-of-prod-91bc";
const TO_PUBLISH = "s3cr3t-to-publish-44de";
const KEY_FILE = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----";

let rig: Rig;
let executor: RunningExecutor;
let leaks: Snapshot;
let repositories: string;

before(async () => {
  leaks = await snapshot();
  rig = await Rig.start();
  repositories = join(rig.dir.path, "git");
  await mkdir(join(repositories, "acme"), { recursive: true });
  await symlink(rig.repo.path, join(repositories, "acme", "api"));
  const secrets = join(rig.dir.path, "secrets");
  const files = {
    "acme/api/TOKEN": `${VALUE}\n`,
    "acme/api/PUBLISH": TO_PUBLISH,
    "acme/api/PEM": `${KEY_FILE}\n`,
    "acme/api/prod/TOKEN": OF_PROD,
  };
  for (const [path, text] of Object.entries(files)) {
    const file = join(secrets, path);
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, text, { mode: 0o600 });
  }
  for (const path of ["", ...globSync("**/*", { cwd: secrets })]) await chown(join(secrets, path), OWN_UID, OWN_UID);
  executor = rig.executor("one", { TOROID_SECRETS: secrets, TOROID_SECRETS_FROM: `${repositories}/` });
});

after(async () => {
  await executor?.[Symbol.asyncDispose]();
  await rig?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

async function work(script: string, over: Partial<StagePlan> = {}, publish: string[] = []): Promise<Work> {
  const phases = { install: [], script: [script], publish, after: [] };
  const made = await rig.stageWork({ phases, ...over });
  return { ...made, remote: { https: join(repositories, "acme", "api"), ssh: null } };
}

/** Every byte that NATS keeps. */
async function stored(): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const { config, state } of rig.jet.jsm.streams.list()) {
    for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq += 1) {
      const message = await rig.jet.jsm.streams.getMessage(config.name, { seq });
      if (message !== null) all.push(Buffer.from(message.subject), Buffer.from(message.data));
    }
  }
  return Buffer.concat(all);
}

/** Command lines of all processes of the host. */
function commandLines(): string {
  return globSync("/proc/[0-9]*/cmdline")
    .map((path) => {
      try {
        return readFileSync(path, "latin1");
      } catch {
        return ""; // it has ended
      }
    })
    .join("\n");
}

test("a secret is in the environment of the stage that names it, and nowhere else", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const script = [
    `test "$TOKEN" = ${VALUE.slice(0, 5)}'${VALUE.slice(5)}' && echo the same`,
    'echo "it is $TOKEN."; printf "%s" "$TOKEN" | fold -w 3 | tr -d "\\n"; echo',
    'printf "%.7s" "$TOKEN"; sleep 0.2; printf "%s\\n" "${TOKEN#???????}"; printf "%s\\n" "$PEM" >&2',
    "echo ${PUBLISH-unset}; echo begun; while ! test -e /toroid/go; do sleep 0.05; done",
  ].join("\n");
  const id = await rig.queue(await work(script, { secrets: ["TOKEN", "PEM"] }));
  await until("the script to wait", async () => (await rig.output(id)).includes("begun"));
  const lines = commandLines();
  assert.ok(lines.includes("/toroid/steps/main"), "the build is not among the processes that were looked at");
  assert.ok(!lines.includes(VALUE));
  const [io] = globSync(join(rig.dir.path, "one", "workspaces", "*", "io"));
  await writeFile(join(io ?? "", "go"), "");
  const result = await rig.result(id);
  assert.equal(result.outcome, "passed", result.message);
  assert.equal((await rig.output(id)).toString(), "the same\nit is ***.\n***\n***\n***\nunset\nbegun\n");
  const kept = await stored();
  for (const secret of [VALUE, TO_PUBLISH, ...KEY_FILE.split("\n")]) assert.ok(!kept.includes(secret), secret);
});

test("an environment has its own, and publish what is for it alone", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const prod = await work(`case $TOKEN in *prod*) echo of prod;; esac; echo $TOKEN`, {
    name: "prod",
    environment: "prod",
    secrets: ["TOKEN"],
  });
  const deployed = await rig.queue(prod);
  assert.equal((await rig.result(deployed)).outcome, "passed");
  assert.equal((await rig.output(deployed)).toString(), "of prod\n***\n");
  const publishing = await work("echo ${PUBLISH-unset}", { publishSecrets: ["PUBLISH"] }, [
    "case $PUBLISH in *publish*) echo to publish;; esac; echo $PUBLISH",
  ]);
  const published = await rig.queue(publishing);
  assert.equal((await rig.result(published)).outcome, "passed");
  assert.equal((await rig.output(published)).toString(), "unset\nto publish\n***\n");
  const kept = await stored();
  for (const secret of [OF_PROD, TO_PUBLISH]) assert.ok(!kept.includes(secret), secret);
});

test("a stage that tells everybody its secret fails, and they are not told", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  for (const [script, says] of [
    ["echo url=https://$TOKEN@host >>$TOROID_OUTPUT", /^TOROID_OUTPUT: url has the secret TOKEN in it/],
    ["echo prod URL=$TOKEN >>$TOROID_QUEUE", /^TOROID_QUEUE: URL has the secret TOKEN in it/],
  ] as const) {
    const result = await rig.result(await rig.queue(await work(script, { secrets: ["TOKEN"] })));
    assert.equal(result.outcome, "failed");
    assert.match(result.message, says);
    assert.deepEqual([result.outputs, result.requests], [{}, []]);
  }
  assert.ok(!(await stored()).includes(VALUE));
});

test("the directory of secrets is not to be seen by a build", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const dir = join(rig.dir.path, "secrets");
  const id = await rig.queue(
    await work(`ls ${dir} 2>/dev/null || cat ${dir}/acme/api/TOKEN 2>/dev/null || echo looked`),
  );
  assert.equal((await rig.result(id)).outcome, "passed");
  assert.equal((await rig.output(id)).toString(), "looked\n");
});

test("what is missing, or from elsewhere, errors the stage before anything of it runs", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const missing = await rig.error(await rig.queue(await work("echo ran", { secrets: ["NONE"] })));
  assert.deepEqual([missing.code, missing.acted, missing.retryable], ["TOR_SECRET_MISSING", false, false]);
  assert.match(
    missing.message,
    /^the stage asks for the secret NONE: there is no .*\/acme\/api\/NONE on this executor$/,
  );
  const elsewhere = await rig.stageWork({ secrets: ["TOKEN"] });
  const refused = await rig.error(await rig.queue(elsewhere));
  assert.deepEqual([refused.code, refused.acted, refused.retryable], ["TOR_SECRET_REFUSED", false, false]);
  assert.match(
    refused.message,
    /acme\/api is fetched from .*\/repo, and secrets are for what comes from .*\/git\/acme\/api/,
  );
});
