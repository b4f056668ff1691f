import assert from "node:assert/strict";
import { test } from "node:test";
import { readSubject } from "../../../kit/jetstream.ts";
import { decode } from "../../../protocol/codec.ts";
import { stageEvent } from "../../../protocol/events.ts";
import type { StageId } from "../../../protocol/ids.ts";
import type { Plan, StagePlan } from "../../../protocol/pipeline/plan.ts";
import { COMMAND, RUN, WAIT } from "../../../protocol/streams.ts";
import { stageRunSubject } from "../../../protocol/subjects.ts";
import { buildSummary } from "../../../protocol/summary.ts";
import { Daemon } from "../../support/rig.ts";
import { until } from "../../support/until.ts";
import { planWith, REPOSITORY, stagePlan, target } from "../../unit/coordinator/samples.ts";
import { type Api, startApi } from "./api-rig.ts";
import { Hands, pushAll } from "./hands.ts";
import { STORE_BYTES, startCoordinator } from "./rig.ts";

const LIMIT = { timeout: 120_000 };
const BUILD: StageId = { repository: REPOSITORY, number: 1, stage: "build", round: 1 };
const PATIENCE = { withinMs: 60_000, everyMs: 50 };
const [BIG, SMALL] = ["acme/big", "acme/small"];

const planOf =
  (...stages: readonly StagePlan[]) =>
  (): Plan =>
    planWith(...stages);

async function heldIn({ jet }: Api): Promise<number> {
  return (await jet.jsm.streams.info(WAIT.name)).state.messages;
}

/** Sequences in the truth of a stage's events, by type. */
async function seqsOf({ jet }: Api, id: StageId): Promise<Readonly<Record<string, number>>> {
  const stored = await readSubject(jet, RUN.name, stageRunSubject(id), 0);
  return Object.fromEntries(stored.map(({ seq, data }) => [decode(stageEvent, data).type, seq]));
}

async function allEnd(api: Api, repository: string, count: number): Promise<void> {
  await until(
    `${count} builds of ${repository} to end`,
    async () => {
      for (let number = count; number > 0; number -= 1) {
        const { state } = await api.actors.build.load({ repository, number });
        if (state.status !== "finished") return false;
      }
      return true;
    },
    PATIENCE,
  );
}

test("what no executor can run says so at once, and runs as soon as one that can is there", LIMIT, async () => {
  await using api = await startApi();
  const wants = stagePlan("build", { runsOn: { pool: null, labels: ["arm64", "gpu"] } });
  await using first = await Hands.start(api.jet, { labels: ["x86"], planOf: planOf(wants) });
  await pushAll(api.actors, REPOSITORY, 1);
  const why = "build: no executor has the labels arm64, gpu; pools: default (x86)";
  await until("the reason", async () => {
    const answer = await api.get(`/api/v1/builds/${REPOSITORY}/1`);
    return answer.ok && buildSummary.parse(await answer.json()).waiting === why;
  });
  await until("it to be held back", async () => (await heldIn(api)) === 1);
  await using big = await Hands.start(api.jet, { pool: "big", labels: ["gpu", "arm64"], planOf: planOf(wants) });
  await allEnd(api, REPOSITORY, 1);
  assert.deepEqual([first.claimed, big.claimed], [[`${REPOSITORY}#1 _plan`], [`${REPOSITORY}#1 build`]]);
  await until("nothing to be held back", async () => (await heldIn(api)) === 0);
});

test("a stage that nobody can run has its timeout in the queue", LIMIT, async () => {
  await using api = await startApi();
  const timeouts = { queueMs: 1_000, startMs: null, silenceMs: null };
  const wants = stagePlan("build", { runsOn: { pool: null, labels: ["gpu"] }, timeouts });
  await using _hands = await Hands.start(api.jet, { planOf: planOf(wants) });
  await pushAll(api.actors, REPOSITORY, 1);
  await allEnd(api, REPOSITORY, 1);
  const { state } = await api.actors.stage.load(BUILD);
  assert.equal(state.result?.outcome, "timedOut");
});

test("a stage goes to the pool that its file names, and an environment to another", LIMIT, async () => {
  await using api = await startApi();
  const prod = target("prod", ["build"], { runsOn: { pool: "deploy", labels: [] }, priority: "high" });
  const o = { planOf: planOf(stagePlan("build", { runsOn: { pool: "big", labels: [] } }), prod) };
  await using usual = await Hands.start(api.jet, o);
  await using big = await Hands.start(api.jet, { ...o, pool: "big" });
  await using deploy = await Hands.start(api.jet, { ...o, pool: "deploy" });
  await pushAll(api.actors, REPOSITORY, 1);
  await allEnd(api, REPOSITORY, 1);
  const at = `${REPOSITORY}#1`;
  assert.deepEqual([usual.claimed, big.claimed, deploy.claimed], [[`${at} _plan`], [`${at} build`], [`${at} prod`]]);
});

for (const coordinators of [1, 2]) {
  test(
    `200 pushes of one repository hardly delay another's first, with ${coordinators} coordinators`,
    LIMIT,
    async (t) => {
      await using api = await startApi();
      await using more = new AsyncDisposableStack();
      for (let n = 1; n < coordinators; n += 1) more.use(await startCoordinator(api.server.url));
      const slots = 4;
      await using hands = await Hands.start(api.jet, { slots, planSlots: slots, planOf: planOf(stagePlan("build")) });
      hands.stageMs = 300;
      await pushAll(api.actors, BIG, 200);
      await until("some to run, and more to wait", async () => {
        return hands.claimed.some((name) => name.endsWith(" build")) && (await heldIn(api)) > 50;
      });
      assert.ok(
        (await api.jet.jsm.streams.info(COMMAND.name)).state.messages < 60,
        "the stream of commands is shallow",
      );
      await pushAll(api.actors, SMALL, 1);
      await allEnd(api, SMALL, 1);
      for (const stage of ["_plan", "build"]) {
        const { queued = 0, claimed = 0 } = await seqsOf(api, { ...BUILD, repository: SMALL, stage });
        const between = hands.claims.filter(
          ({ name, seq }) => name.startsWith(BIG) && name.endsWith(` ${stage}`) && seq > queued && seq < claimed,
        ).length;
        // What is in the shallow queue already goes before it, one for each slot, and about one turn of the other.
        assert.ok(between <= 2 * slots + 1, `${between} went before the ${stage}`);
        t.diagnostic(`${between} stages of the other went before its ${stage}`);
      }
      hands.stageMs = 0;
      await allEnd(api, BIG, 200);
      assert.equal(new Set(hands.claimed).size, hands.claimed.length, "nothing ran twice");
      await until("nothing to be held back", async () => (await heldIn(api)) === 0);
    },
  );
}

test("what waits survives its coordinator, and another sends it within seconds", LIMIT, async () => {
  await using api = await startApi();
  await api.stopCoordinator();
  const variables = {
    TOROID_NATS_URL: api.server.url,
    TOROID_HTTP_PORT: "0",
    TOROID_STORE_BYTES: String(STORE_BYTES),
  };
  await using first = new Daemon("coordinator", variables);
  await first.url;
  await using hands = await Hands.start(api.jet, { slots: 2, planOf: planOf(stagePlan("build")) });
  hands.stageMs = 100;
  await pushAll(api.actors, BIG, 60);
  await until("some to wait", async () => (await heldIn(api)) > 20);
  await using second = new Daemon("coordinator", variables);
  await second.url;
  await first.kill();
  hands.stageMs = 10;
  await allEnd(api, BIG, 60);
  assert.equal(new Set(hands.claimed).size, 120);
  assert.equal(hands.claimed.length, 120, "nothing ran twice");
  await until("nothing to be held back", async () => (await heldIn(api)) === 0);
});
