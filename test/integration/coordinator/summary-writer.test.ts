import assert from "node:assert/strict";
import { test } from "node:test";
import { makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { makeSummaryWriter } from "../../../coordinator/projections/summary-writer.ts";
import { readLast } from "../../../kit/jetstream.ts";
import { decode } from "../../../protocol/codec.ts";
import { BUILD } from "../../../protocol/streams.ts";
import { summarySubject } from "../../../protocol/subjects.ts";
import { buildSummary } from "../../../protocol/summary.ts";
import { planWith, push, REPOSITORY, source, stagePlan } from "../../unit/coordinator/samples.ts";
import { quiet, type Rig, startRig } from "./rig.ts";

const LIMIT = { timeout: 30_000 };
const ID = { repository: REPOSITORY, number: 1 };

async function written(rig: Rig): Promise<number> {
  return (await rig.jet.jsm.streams.info(BUILD.name)).state.last_seq;
}

test("what comes while a build rests from being written is written once, and is all there then", LIMIT, async () => {
  await using rig = await startRig();
  const actors = makeMailboxes(rig.jet, quiet);
  const rested = Promise.withResolvers<void>();
  const writer = makeSummaryWriter(rig.jet, actors, () => rested.promise);
  const names = ["one", "two", "three", "four"];
  await actors.build.tell(ID, { kind: "create", push: push(), by: "queue" });
  await writer.build(ID);
  assert.equal(await written(rig), 1);

  const plan = planWith(...names.map((name) => stagePlan(name)));
  await actors.build.tell(ID, { kind: "plan", round: 1, source: source(), plan });
  const later = [writer.build(ID)];
  for (const stage of names) {
    const id = { ...ID, stage, round: 1 };
    await actors.stage.tell(id, { kind: "close", outcome: "skipped", why: "not today" });
    later.push(writer.stage(id));
  }
  assert.equal(await written(rig), 1, "nothing is written before it has rested");
  rested.resolve();
  await Promise.all(later);
  assert.equal(await written(rig), 2);
  const last = await readLast(rig.jet, BUILD.name, summarySubject(ID));
  assert.ok(last !== null);
  const { stages } = decode(buildSummary, last.data);
  const ends = stages.filter(({ name }) => names.includes(name)).map(({ name, outcome }) => [name, outcome]);
  assert.deepEqual(
    ends,
    names.map((name) => [name, "skipped"]),
  );
});

test("a build is shown as ended only with its stages, whichever end is heard of first", LIMIT, async () => {
  await using rig = await startRig();
  const actors = makeMailboxes(rig.jet, quiet);
  const writer = makeSummaryWriter(rig.jet, actors, async () => {});
  await actors.build.tell(ID, { kind: "create", push: push(), by: "queue" });
  await actors.build.tell(ID, { kind: "plan", round: 1, source: source(), plan: planWith(stagePlan("one")) });
  await writer.build(ID);
  await actors.stage.tell({ ...ID, stage: "one", round: 1 }, { kind: "close", outcome: "skipped", why: "not today" });
  await actors.build.tell(ID, {
    kind: "settle",
    stage: "one",
    round: 1,
    outcome: "skipped",
    message: "not today",
    outputs: {},
    artifact: null,
  });
  await actors.build.tell(ID, { kind: "conclude" });
  await writer.build(ID);
  const last = await readLast(rig.jet, BUILD.name, summarySubject(ID));
  assert.ok(last !== null);
  const { status, stages } = decode(buildSummary, last.data);
  const one = stages.find(({ name }) => name === "one");
  assert.deepEqual([status, one?.status, one?.message], ["finished", "finished", "not today"]);
});

test("one build's rest keeps no other from being written", LIMIT, async () => {
  await using rig = await startRig();
  const actors = makeMailboxes(rig.jet, quiet);
  const rested = Promise.withResolvers<void>();
  const writer = makeSummaryWriter(rig.jet, actors, () => rested.promise);
  for (const number of [1, 2, 3]) {
    await actors.build.tell({ ...ID, number }, { kind: "create", push: push(), by: "queue" });
    await writer.build({ ...ID, number });
  }
  assert.equal(await written(rig), 3);
  rested.resolve();
});
