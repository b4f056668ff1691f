import assert from "node:assert/strict";
import { test } from "node:test";
import { makeEffects } from "../../../coordinator/effects.ts";
import { type Mailboxes, makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { runReactor } from "../../../coordinator/reactor.ts";
import type { Jet } from "../../../kit/jetstream.ts";
import { encode } from "../../../protocol/codec.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import { COMMAND, RUN, RUN_REACTOR } from "../../../protocol/streams.ts";
import { buildRunSubject, commandSubject } from "../../../protocol/subjects.ts";
import { PROTOCOL_VERSION } from "../../../protocol/versions.ts";
import { until } from "../../support/until.ts";
import { planWith, push, REPOSITORY, source, stagePlan, target } from "../../unit/coordinator/samples.ts";
import { dispatchAtOnce, quiet, type Rig, runStage, startRig } from "./rig.ts";

const LIMIT = { timeout: 60_000 };
const SETTINGS = { pool: "default" };
const BUILD = { repository: REPOSITORY, number: 1 };

/** Mailboxes whose stages refuse to be told `times` times. */
function failing(actors: Mailboxes, times: number, error: Error): Mailboxes {
  let left = times;
  return {
    ...actors,
    stage: {
      ...actors.stage,
      tell: (id, command) => {
        left -= 1;
        return left >= 0 ? Promise.reject(error) : actors.stage.tell(id, command);
      },
    },
  };
}

function startReactor(jet: Jet, actors: Mailboxes = makeMailboxes(jet, quiet)) {
  const stop = new AbortController();
  const { offer, dispatcher } = dispatchAtOnce(jet);
  const effects = makeEffects(jet, actors, offer, SETTINGS, quiet);
  const ended = runReactor({ jet, actors, effects, dispatcher, settings: SETTINGS, log: quiet }, stop.signal);
  return {
    actors,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await ended;
    },
  };
}

async function commandsIn(jet: Jet): Promise<number> {
  return (await jet.jsm.streams.info(COMMAND.name)).state.messages;
}

async function planned(rig: Rig, actors: Mailboxes, ...stages: readonly StagePlan[]): Promise<void> {
  await actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
  await runStage(
    rig.jet,
    actors,
    { ...BUILD, stage: PLAN_STAGE, round: 1 },
    {
      planned: { kind: "plan", source: source(), plan: planWith(...stages) },
    },
  );
}

async function outcomeOf(actors: Mailboxes): Promise<string> {
  return until("the build to finish", async () => (await actors.build.load(BUILD)).state.outcome);
}

test("a push goes all the way to its last environment", LIMIT, async () => {
  await using rig = await startRig();
  await using reactor = startReactor(rig.jet);
  const { actors } = reactor;
  await planned(rig, actors, stagePlan("build"), target("stage", ["build"]), target("prod", ["stage"]));
  for (const stage of ["build", "stage", "prod"]) await runStage(rig.jet, actors, { ...BUILD, stage, round: 1 });
  assert.equal(await outcomeOf(actors), "passed");
  const lane = await actors.environment.load({ repository: REPOSITORY, environment: "prod" });
  assert.equal(lane.state.live?.number, 1);
});

test("an event whose effects failed is delivered again until they are done", LIMIT, async () => {
  await using rig = await startRig();
  const away = new ToroidError("TOR_NATS_UNREACHABLE", "away");
  await using reactor = startReactor(rig.jet, failing(makeMailboxes(rig.jet, quiet), 2, away));
  await reactor.actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
  await until("the plan to be queued", async () => (await commandsIn(rig.jet)) === 1);
  const { num_ack_pending, num_redelivered } = await until("all to be acknowledged", async () => {
    const info = await rig.jet.jsm.consumers.info(RUN.name, RUN_REACTOR.name);
    return info.num_ack_pending === 0 && info.num_pending === 0 ? info : null;
  });
  assert.deepEqual({ num_ack_pending, num_redelivered }, { num_ack_pending: 0, num_redelivered: 0 });
});

test("an event that hit a bug is tried again too: a newer version may know better", LIMIT, async () => {
  await using rig = await startRig();
  await using reactor = startReactor(
    rig.jet,
    failing(makeMailboxes(rig.jet, quiet), 1, new TypeError("x is undefined")),
  );
  await reactor.actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
  await until("the plan to be queued", async () => (await commandsIn(rig.jet)) === 1);
});

test("a message that cannot be read is passed over, and does not hold up the next", LIMIT, async () => {
  await using rig = await startRig();
  await rig.jet.js.publish("toroid.run.acme__api.9._build", "not ours");
  await using reactor = startReactor(rig.jet);
  await reactor.actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
  await until("the plan to be queued", async () => (await commandsIn(rig.jet)) === 1);
});

test(
  "an event of a newer version is kept for a coordinator that knows it, and holds up nothing else",
  LIMIT,
  async () => {
    await using rig = await startRig();
    const event = { v: PROTOCOL_VERSION + 1, type: "exploded", id: "e", atMs: 1 };
    await rig.jet.js.publish(buildRunSubject({ repository: REPOSITORY, number: 9 }), encode(event));
    await using reactor = startReactor(rig.jet);
    await reactor.actors.repository.tell(REPOSITORY, { kind: "accept", key: "k", push: push(), by: "queue" });
    await until("the plan to be queued", async () => (await commandsIn(rig.jet)) === 1);
    await until("it to be delivered again and again", async () => {
      const info = await rig.jet.jsm.consumers.info(RUN.name, RUN_REACTOR.name);
      return info.num_redelivered > 0 && info.delivered.consumer_seq > info.delivered.stream_seq + 1;
    });
    await assert.rejects(
      reactor.actors.build.tell({ repository: REPOSITORY, number: 9 }, { kind: "cancel", by: "ada", why: "" }),
      (error) => error instanceof ToroidError && error.code === "TOR_VERSION_NEWER",
    );
  },
);

test("two coordinators that react together dispatch each stage once", LIMIT, async () => {
  await using rig = await startRig();
  await using one = startReactor(rig.jet);
  await using _other = startReactor(rig.jet);
  const names = Array.from({ length: 30 }, (_, at) => `build N=${at}`);
  await planned(rig, one.actors, ...names.map((name) => stagePlan(name)));
  await Promise.all(names.map((stage) => runStage(rig.jet, one.actors, { ...BUILD, stage, round: 1 })));
  assert.equal(await outcomeOf(one.actors), "passed");
  assert.equal(await commandsIn(rig.jet), 1 + names.length);
});

test("what happened while no coordinator ran is made up for", LIMIT, async () => {
  await using rig = await startRig();
  const asleep = makeMailboxes(rig.jet, quiet);
  for (let number = 1; number <= 3; number += 1) {
    const commit = push({ commit: String(number).repeat(40) });
    await asleep.repository.tell(REPOSITORY, { kind: "accept", key: `k${number}`, push: commit, by: "queue" });
  }
  await using _reactor = startReactor(rig.jet);
  await until("three plans to be queued", async () => (await commandsIn(rig.jet)) === 3);
});

test(
  "stages that leave more for the next than a message holds fail it with a reason, and the build ends",
  LIMIT,
  async () => {
    await using rig = await startRig();
    await using reactor = startReactor(rig.jet);
    const { actors } = reactor;
    const names = Array.from({ length: 5 }, (_, at) => `build N=${at}`);
    await planned(rig, actors, ...names.map((name) => stagePlan(name)), target("prod", names));
    const outputs = Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`OUT_${at}`, "x".repeat(31_000)]));
    for (const stage of names) await runStage(rig.jet, actors, { ...BUILD, stage, round: 1 }, { outputs });
    assert.equal(await outcomeOf(actors), "failed");
    const { state } = await actors.stage.load({ ...BUILD, stage: "prod", round: 1 });
    assert.equal(state.result?.outcome, "errored");
    assert.match(
      state.result?.message ?? "",
      /outputs of earlier stages included, is too much: a message of [0-9]+ bytes/,
    );
    const lane = await until("the lane to be free", async () => {
      const { state: now } = await actors.environment.load({ repository: REPOSITORY, environment: "prod" });
      return now.inFlight === null ? now : null;
    });
    assert.equal(lane.live, null);
  },
);

test("a command goes to the queue of its kind", LIMIT, async () => {
  await using rig = await startRig();
  await using reactor = startReactor(rig.jet);
  await planned(rig, reactor.actors, stagePlan("build"));
  await until("two commands", async () => (await commandsIn(rig.jet)) === 2);
  const info = await rig.jet.jsm.streams.info(COMMAND.name, { subjects_filter: "toroid.cmd.>" });
  assert.deepEqual(info.state.subjects, {
    [commandSubject("default", "plan", REPOSITORY)]: 1,
    [commandSubject("default", "work", REPOSITORY)]: 1,
  });
});
