/** The store has no room: what cannot be written waits where it is, and goes on when there is room again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { connectJet, type Jet, readSubject } from "../../kit/jetstream.ts";
import { decode } from "../../protocol/codec.ts";
import { stageEvent } from "../../protocol/events.ts";
import { PUSH, RUN, type StreamSpec } from "../../protocol/streams.ts";
import { stageRunSubject } from "../../protocol/subjects.ts";
import { noLeaksAfterAll } from "../support/leaks.ts";
import { Rig } from "../support/rig.ts";
import { until } from "../support/until.ts";

const LIMIT = { timeout: 240_000 };
const PATIENCE = { withinMs: 90_000 };
const REPOSITORY = "acme/shop";
const FILES = {
  ".toroid.yml": `kind: application
script: '[ "$(cat slow)" = no ] || sleep 3'
environments:
  prod: { run: echo live }
`,
  slow: "no",
};
noLeaksAfterAll({ withinMs: 15_000 });

/** Takes from a stream the room that it has left, as other messages would. */
async function fill(jet: Jet, { name }: StreamSpec): Promise<void> {
  const { config, state } = await jet.jsm.streams.info(name);
  await jet.jsm.streams.update(name, { ...config, max_bytes: state.bytes + 1 });
}

async function endsOf(jet: Jet, number: number, stage: string): Promise<number> {
  const subject = stageRunSubject({ repository: REPOSITORY, number, stage, round: 1 });
  const events = (await readSubject(jet, RUN.name, subject, 0)).map((one) => decode(stageEvent, one.data).type);
  return events.filter((type) => type === "finished").length;
}

test(
  "with a full store a push stays on its queue and an end with its executor, until there is room",
  LIMIT,
  async () => {
    await using rig = await Rig.start({ visibilitySeconds: 2 });
    const repo = await rig.repo(FILES);
    const coordinator = await rig.coordinator();
    const executor = rig.executor();
    await using jet = await connectJet({ url: rig.nats.url, name: "test" });
    await rig.push(repo);
    assert.equal((await rig.ended(1, REPOSITORY, PATIENCE.withinMs)).outcome, "passed");

    await repo.commit({ files: { slow: "yes" } });
    await rig.push(repo);
    await until(
      "#2 to run",
      async () => (await rig.build(2)).stages.some(({ name, status }) => name === "build" && status === "running"),
      PATIENCE,
    );
    await fill(jet, RUN);
    await fill(jet, PUSH);
    await repo.commit({ files: { slow: "no" } });
    await rig.push(repo);
    for (const daemon of [coordinator, executor])
      await until("it to hear that there is no room", () => daemon.log.includes("TOR_DISK_FULL"), PATIENCE);
    assert.match(coordinator.log, /raise TOROID_STORE_BYTES/);
    const { waiting, inFlight } = await rig.queue.counts();
    assert.equal(waiting + inFlight, 1, "the push is still on its queue");
    assert.equal(await endsOf(jet, 2, "build"), 0);

    // Started again with more room, as the error says.
    await coordinator.kill("SIGTERM");
    await rig.coordinator({ TOROID_STORE_BYTES: String(512 * 1024 * 1024) });
    for (const number of [2, 3]) {
      const build = await rig.ended(number, REPOSITORY, PATIENCE.withinMs);
      // #3 may be live before #2 has told its end; then #2 does not go there any more.
      const prod = build.outcome === "superseded" && number === 2 ? "superseded" : "passed";
      assert.deepEqual(Rig.outcomes(build), { build: "passed", prod });
      for (const stage of ["_plan", "build", "prod"]) assert.equal(await endsOf(jet, number, stage), 1, stage);
    }
    assert.equal((await rig.builds(REPOSITORY)).length, 3);
    for (const url of [rig.queue.queueUrl, rig.queue.deadLetterUrl])
      assert.deepEqual(await rig.queue.counts(url), { waiting: 0, inFlight: 0 });
    assert.equal(executor.child.exitCode, null);
  },
);
