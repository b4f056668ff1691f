import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import { assertNoLeaks, type Snapshot, snapshot } from "../../support/leaks.ts";
import { needs } from "../../support/skips.ts";
import { until } from "../../support/until.ts";
import { NEEDS, Rig, type RunningExecutor } from "./rig.ts";

const T = { timeout: 60_000 };
const phases = (over: Partial<Record<"install" | "script" | "publish" | "after", string[]>>) => ({
  phases: { install: [], script: ["true"], publish: [], after: [], ...over },
});

let rig: Rig;
let executor: RunningExecutor;
let leaks: Snapshot;
const bytes = Buffer.concat([randomBytes(300_000), Buffer.from([0, 0xff, 0xfe, 0x1e, 0x1e]), Buffer.alloc(70_000, 0)]);

before(async () => {
  leaks = await snapshot();
  rig = await Rig.start({
    "README.md": "hello\n",
    "data.bin": bytes,
    "sub/file.txt": "below\n",
    "bin/deploy*": '#!/bin/sh\necho "deploys to $1 from $(pwd)"\n',
    "bin/plain": 'echo "plain $1"\nfalse\necho not reached\n',
    "bin/noexec": "#!/bin/sh\ntrue\n",
  });
  executor = rig.executor();
});

after(async () => {
  await executor?.[Symbol.asyncDispose]();
  await rig?.[Symbol.asyncDispose]();
  await assertNoLeaks(leaks);
});

test("a script that exits 0 passes, in the checkout, as root of a machine of its own", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(
    await rig.stageWork(phases({ script: ["pwd; id -u; hostname; git describe --always; git status --short"] })),
  );
  const result = await rig.result(id);
  assert.deepEqual([result.outcome, result.exitCode, result.phase], ["passed", 0, "script"]);
  const commit = await rig.repo.head();
  assert.equal((await rig.output(id)).toString(), `/workspace\n0\napi-${id.number}-build\n${commit.slice(0, 7)}\n`);
  assert.deepEqual(
    (await rig.events(id)).map(({ type }) => type),
    ["queued", "claimed", "started", "finished"],
  );
  await until("the command to be settled", async () => (await rig.commandsLeft()) === 0);
});

test("a script that exits with anything else has failed, and says with what and where", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(await rig.stageWork(phases({ install: ["exit 3"], script: ["echo never"] })));
  const result = await rig.result(id);
  assert.deepEqual(
    [result.outcome, result.exitCode, result.phase, result.message],
    ["failed", 3, "install", "exit code 3 in install"],
  );
  assert.equal((await rig.output(id)).length, 0);
});

test("a phase stops at its first failing line, even where -e alone would not", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(
    await rig.stageWork(
      phases({ script: ["cd sub; A=1", "cat file.txt; echo $A", "false && true", "echo not reached"] }),
    ),
  );
  const result = await rig.result(id);
  assert.deepEqual([result.outcome, result.exitCode], ["failed", 1]);
  assert.equal((await rig.output(id)).toString(), "below\n1\n");
});

test("exit code 75 is an errored attempt that may be repeated", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(await rig.stageWork(phases({ script: ["exit 75"] })));
  const error = await rig.error(id);
  assert.deepEqual([error.code, error.acted, error.retryable], ["TOR_SCRIPT_TEMPFAIL", true, true]);
});

test("what install leaves running is there in script, and gone at the end", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(
    await rig.stageWork(
      phases({ install: ["sleep 1000 & echo $! >/tmp/pid"], script: ["kill -0 $(cat /tmp/pid); echo alive"] }),
    ),
  );
  assert.equal((await rig.result(id)).outcome, "passed");
  assert.equal((await rig.output(id)).toString(), "alive\n");
});

test("publish runs only after script passed; after runs always and cannot change the outcome", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const passing = await rig.queue(
    await rig.stageWork(phases({ script: ["touch s"], publish: ["ls s"], after: ["ls s; exit 9"] })),
  );
  const result = await rig.result(passing);
  assert.deepEqual([result.outcome, result.phase], ["passed", "publish"]);
  assert.match((await rig.output(passing)).toString(), /^s\ns\ntoroid: after did not succeed/);

  const failing = await rig.queue(
    await rig.stageWork(phases({ script: ["exit 1"], publish: ["echo published"], after: ["echo after"] })),
  );
  assert.equal((await rig.result(failing)).outcome, "failed");
  assert.equal((await rig.output(failing)).toString(), "after\n");
});

test(
  "an entry point gets the environment and runs in the checkout, with its own interpreter or as sh -eu",
  T,
  async (t) => {
    if (!needs(t, NEEDS)) return;
    const run = async (entrypoint: string) => {
      const id = await rig.queue(
        await rig.stageWork({
          name: "prod",
          environment: "prod",
          entrypoint,
          workdir: "sub",
          phases: { install: [], script: [], publish: [], after: [] },
        }),
      );
      return { result: await rig.result(id), output: (await rig.output(id)).toString() };
    };
    assert.equal((await run("bin/deploy")).output, "deploys to prod from /workspace\n");
    const plain = await run("bin/plain");
    assert.deepEqual([plain.result.outcome, plain.output], ["failed", "plain prod\n"]);
    const missing = await run("bin/missing");
    assert.deepEqual(
      [missing.result.outcome, missing.output],
      ["failed", "toroid: the entry point bin/missing is not in the checkout\n"],
    );
    assert.match((await run("bin/noexec")).output, /not executable: git update-index/);
  },
);

test("the environment holds what the manual promises, and no secret shows in a command line", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(
    await rig.stageWork(
      { ...phases({ script: ["env | sort"] }), env: { A: "from env", CI: "no", SECRET: "hunter2" } },
      { params: { A: "from params" }, outputs: { "stage-eu": { url: "https://x" } }, fence: 17 },
    ),
  );
  assert.equal((await rig.result(id)).outcome, "passed");
  const lines = new Set((await rig.output(id)).toString().split("\n"));
  const commit = await rig.repo.head();
  for (const line of [
    "CI=true",
    "TOROID=true",
    "A=from params",
    "SECRET=hunter2",
    "TOROID_REPOSITORY=acme/api",
    `TOROID_BUILD=${id.number}`,
    `TOROID_COMMIT=${commit}`,
    "TOROID_BRANCH=main",
    "TOROID_ENVIRONMENT=",
    "TOROID_ATTEMPT=1",
    "TOROID_FENCE=17",
    "TOROID_OUTPUT_STAGE_EU_URL=https://x",
  ]) {
    assert.ok(lines.has(line), line);
  }
});

test("every byte of the output is in the log, in order, however odd", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(
    await rig.stageWork(
      phases({ script: ["for i in 1 2 3 4 5; do cat data.bin; done; echo out >/dev/stdout; echo err >/dev/stderr"] }),
    ),
  );
  const result = await rig.result(id);
  assert.equal(result.outcome, "passed");
  const expected = Buffer.concat([...Array<Buffer>(5).fill(bytes), Buffer.from("out\nerr\n")]);
  const output = await rig.output(id);
  assert.equal(createHash("sha256").update(output).digest("hex"), createHash("sha256").update(expected).digest("hex"));
  assert.equal(result.logBytes, expected.length);
  const log = await rig.log(id);
  let offset = 0;
  for (const chunk of log) {
    assert.equal(chunk.offset, offset);
    if (chunk.kind === "bytes") offset += chunk.data.length;
  }
  assert.equal(log.at(-1)?.kind, "end");
});

test("output past the limit is counted and said, not kept", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const limits = { memoryBytes: null, cpuMilli: null, pids: null, diskBytes: null, logBytes: 1_000 };
  const id = await rig.queue(await rig.stageWork({ ...phases({ script: ["head -c 5000 /dev/zero"] }), limits }));
  const result = await rig.result(id);
  assert.deepEqual(
    [result.outcome, result.logBytes, result.message],
    ["passed", 1_000, "the log was cut after 1000 bytes, 4000 more were dropped"],
  );
  const last = (await rig.log(id)).at(-1);
  assert.equal(last?.kind === "end" ? last.droppedBytes : null, 4_000);
});

test("a stage that takes too long is timed out, and its after still runs", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(
    await rig.stageWork({ ...phases({ script: ["echo begun; sleep 1000"], after: ["echo cleaned"] }), timeoutMs: 700 }),
  );
  const result = await rig.result(id);
  assert.deepEqual([result.outcome, result.phase], ["timedOut", "script"]);
  assert.equal((await rig.output(id)).toString(), "begun\ncleaned\n");
});

test("a script that prints nothing for too long is timed out by its silence, and after runs", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const timeouts = { queueMs: null, startMs: null, silenceMs: 1_000 };
  const script = ["trap 'echo asked to end; exit 3' TERM", "echo begun", "sleep 1000 & wait"];
  const id = await rig.queue(await rig.stageWork({ ...phases({ script, after: ["echo cleaned"] }), timeouts }));
  const result = await rig.result(id);
  assert.deepEqual(
    [result.outcome, result.message],
    ["timedOut", "it printed nothing for 1s, its timeout of silence in script"],
  );
  assert.equal((await rig.output(id)).toString(), "begun\nasked to end\ncleaned\n");
});

test("outputs and requests of a passed stage are reported", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(
    await rig.stageWork(
      phases({ script: ['echo "url=https://x" >>$TOROID_OUTPUT', 'echo "prod REGION=eu" >>$TOROID_QUEUE'] }),
    ),
  );
  const { outputs, requests } = await rig.result(id);
  assert.deepEqual(
    [outputs, requests],
    [{ url: "https://x" }, [{ kind: "environment", environment: "prod", params: { REGION: "eu" } }]],
  );
});

test(
  "a request that cannot be read, or for what is not an environment, fails the stage with the sentence",
  T,
  async (t) => {
    if (!needs(t, NEEDS)) return;
    const wrong = await rig.result(
      await rig.queue(await rig.stageWork(phases({ script: ["echo 'prod ='  >>$TOROID_QUEUE"] }))),
    );
    assert.deepEqual([wrong.outcome, wrong.requests], ["failed", []]);
    assert.match(wrong.message, /^TOROID_QUEUE: line 1: /);
    const unknown = await rig.result(
      await rig.queue(await rig.stageWork(phases({ script: ["echo mars >>$TOROID_QUEUE"] }))),
    );
    assert.deepEqual(
      [unknown.outcome, unknown.message],
      ["failed", "TOROID_QUEUE asks for mars, which is not an environment of this build"],
    );
  },
);

for (const [what, script] of [
  ["a link to a file of the host", "ln -sf /etc/passwd $TOROID_OUTPUT"],
  ["a named pipe", "rm $TOROID_OUTPUT; mkfifo $TOROID_OUTPUT"],
  ["a directory", "rm $TOROID_OUTPUT; mkdir $TOROID_OUTPUT"],
  ["a file without end", "truncate -s 1T $TOROID_OUTPUT"],
  ["bytes that are no text", "head -c 100 /dev/urandom >$TOROID_OUTPUT"],
] as const) {
  test(`${what} in the place of the outputs fails the stage and nothing else`, T, async (t) => {
    if (!needs(t, NEEDS)) return;
    const result = await rig.result(await rig.queue(await rig.stageWork(phases({ script: [script] }))));
    assert.deepEqual([result.outcome, result.outputs], ["failed", {}]);
    assert.match(result.message, /^TOROID_OUTPUT/);
  });
}

test("a tree deeper than any path leaves nothing behind", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const deep = `perl -e 'for (1..1500) { mkdir "a" x 10; chdir "a" x 10 or die }'`;
  const id = await rig.queue(await rig.stageWork(phases({ script: [deep] })));
  assert.equal((await rig.result(id)).outcome, "passed");
});

test("an image that is not there errors the attempt and names what is", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(await rig.stageWork({ image: { kind: "named", name: "ruby-9" } }));
  const error = await rig.error(id);
  assert.deepEqual([error.code, error.retryable, error.acted], ["TOR_IMAGE_MISSING", false, false]);
  assert.match(error.message, /^the image ruby-9 cannot be used: it is not in this executor's image store/);
});

test("a commit that does not exist errors the attempt for good", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const work = await rig.stageWork();
  if (work.kind === "stage") work.source = { ...work.source, commit: "1".repeat(40) };
  const error = await rig.error(await rig.queue(work));
  assert.deepEqual([error.code, error.retryable, error.acted], ["TOR_NOT_FOUND", false, false]);
  assert.match(error.message, /^commit 111111111111 is not in /);
});

test("a cancelled stage ends at once, as cancelled, with who and why", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(await rig.stageWork(phases({ script: ["echo begun; sleep 1000"] })));
  await until("the script to run", async () => (await rig.output(id)).includes("begun"));
  const began = performance.now();
  await rig.cancel(id);
  const result = await rig.result(id);
  assert.ok(performance.now() - began < 1_800, "the signal was not followed");
  assert.deepEqual([result.outcome, result.message], ["cancelled", "cancelled by ada: a test"]);
});

test("a cancellation whose signal is lost is found at the next heartbeat", T, async (t) => {
  if (!needs(t, NEEDS)) return;
  const id = await rig.queue(await rig.stageWork(phases({ script: ["echo begun; sleep 1000"] })));
  await until("the script to run", async () => (await rig.output(id)).includes("begun"));
  await rig.cancel(id, { signal: false });
  assert.equal((await rig.result(id, 5_000)).outcome, "cancelled");
});
