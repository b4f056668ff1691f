import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { canRetry, choicesOf } from "../../../web/parts/build-choices.ts";
import { planText } from "../../../web/parts/plan-text.ts";
import { segmentsOf, waterfallOf } from "../../../web/parts/waterfall.ts";
import { build, environment, stage } from "../../support/summaries.ts";

const T = 1_760_000_000_000;
const at = (ms: number) => T + ms;

function timed(name: string, queued: number, claimed: number, ended: number, stepsMs: Record<string, number> = {}) {
  return stage(name, {
    queuedAtMs: at(queued),
    claimedAtMs: at(claimed),
    startedAtMs: at(claimed),
    finishedAtMs: at(ended),
    stepsMs,
  });
}

describe("where the time of a build went", () => {
  test("is what each stage did, one after the other", () => {
    const steps = { checkout: 100, workspace: 50, firstByte: 10, script: 800 };
    const segments = segmentsOf(timed("build", 0, 200, 1_200, steps), at(9_999));
    assert.deepEqual(
      segments.map(({ name, kind, fromMs, toMs }) => [name, kind, fromMs - T, toMs - T]),
      [
        ["queued", "queued", 0, 200],
        ["checkout", "checkout", 200, 300],
        ["workspace", "workspace", 300, 350],
        ["script", "script", 350, 1_150],
        ["other", "other", 1_150, 1_200],
      ],
    );
  });

  test("goes up to now for what goes on", () => {
    const queued = stage("a", {
      status: "queued",
      queuedAtMs: T,
      claimedAtMs: null,
      startedAtMs: null,
      finishedAtMs: null,
    });
    const running = stage("b", {
      status: "running",
      queuedAtMs: T,
      claimedAtMs: at(5),
      startedAtMs: at(9),
      finishedAtMs: null,
    });
    const names = (of: typeof queued) => segmentsOf(of, at(50)).map(({ name, toMs }) => `${name} ${toMs - T}`);
    assert.deepEqual(names(queued), ["queued 50"]);
    assert.deepEqual(names(running), ["queued 5", "starting 9", "running 50"]);
    assert.deepEqual(names(stage("c", { queuedAtMs: null, claimedAtMs: null })), []);
  });

  test("has each step as long as it was measured, whatever other clocks say of the end", () => {
    const segments = segmentsOf(timed("build", 0, 0, 100, { script: 90, artifact: 30 }), at(0));
    assert.deepEqual(
      segments.map(({ name, toMs }) => `${name} ${toMs - T}`),
      ["script 90", "artifact 120"],
    );
  });

  test("makes days of waiting for a person short, and says them", () => {
    const day = 86_400_000;
    const { place, gaps } = waterfallOf([timed("build", 0, 0, 10_000), timed("prod", day, day, day + 10_000)], at(0));
    assert.deepEqual(
      gaps.map(({ ms }) => ms),
      [day - 10_000],
    );
    const [end, begin] = [place(at(10_000)), place(at(day))];
    assert.ok(end > 0.45 && begin - end < 0.05, `${end} ${begin}`);
    assert.deepEqual([place(at(0)), place(at(day + 10_000))], [0, 1]);
  });
});

describe("what may be done with a build", () => {
  const before = [{ number: 40, commit: "a10867b14bb761a232cd80139fbd4c0d33264240", atMs: T }];

  test("is to promote it where something else is live, and to go back where it was live before", () => {
    const e = environment({ before });
    assert.deepEqual(choicesOf(build(42), e), { approval: null, canPromote: true, canRollBack: false });
    assert.deepEqual(choicesOf(build(40), e), { approval: null, canPromote: false, canRollBack: true });
    assert.deepEqual(choicesOf(build(41), e), { approval: null, canPromote: false, canRollBack: false });
  });

  test("is nothing of that while it is under way there, or when there is nothing of it to go", () => {
    const inFlight = { number: 42, stage: "prod", round: 1 };
    assert.equal(choicesOf(build(42), environment({ inFlight })).canPromote, false);
    assert.equal(choicesOf(build(42, { archivedAtMs: T }), environment()).canPromote, false);
    const failed = [stage("_plan"), stage("build", { outcome: "failed" })];
    assert.equal(choicesOf(build(42, { stages: failed }), environment()).canPromote, false);
  });

  test("is to agree when it waits for that", () => {
    const waiting = {
      number: 42,
      stage: "prod",
      round: 1,
      approval: {
        from: [],
        self: true,
        endsAtMs: T,
        change: { from: null, to: "a10867b14bb761a232cd80139fbd4c0d33264240" },
      },
      approvedBy: null,
      rollback: false,
      why: "",
    };
    assert.equal(choicesOf(build(42), environment({ waiting: [waiting] })).approval?.number, 42);
    assert.equal(choicesOf(build(43), environment({ waiting: [waiting] })).approval, null);
  });

  test("is to retry the newest round of a stage that ended badly", () => {
    const [first, second] = [stage("build", { outcome: "failed" }), stage("build", { outcome: "failed", round: 2 })];
    const of = build(42, { stages: [first, second] });
    assert.deepEqual([canRetry(of, first), canRetry(of, second)], [false, true]);
    assert.equal(canRetry(of, stage("prod")), false);
    assert.equal(canRetry(build(42, { stages: [first], archivedAtMs: T }), first), false);
  });
});

test("a plan is told as YAML, without what says nothing", () => {
  const text = planText({
    name: "build",
    environment: null,
    needs: [],
    allowFailure: false,
    phases: { install: ["npm ci"], script: ["echo 'a: b'\nexit 1\n"], after: [] },
    limits: { memoryBytes: 2 ** 31, pids: 4096 },
    timeoutMs: 3_600_000,
    retry: { attempts: 3, backoffMs: 0 },
    list: [{ a: "yes", b: 1 }],
  });
  assert.deepEqual(text.split("\n"), [
    "name: build",
    "phases:",
    "  install:",
    "    - npm ci",
    "  script:",
    "    - |",
    "      echo 'a: b'",
    "      exit 1",
    "limits:",
    "  memory: 2GiB",
    "  pids: 4096",
    "timeout: 1h",
    "retry:",
    "  attempts: 3",
    "list:",
    '  - a: "yes"',
    "    b: 1",
  ]);
});
