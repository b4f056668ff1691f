import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ToroidError } from "../../../protocol/errors.ts";
import {
  BUCKETS,
  COMMAND,
  executorConsumer,
  maxBytesOf,
  REACTORS,
  STREAMS,
  type StreamSpec,
} from "../../../protocol/streams.ts";
import {
  buildRunSubject,
  commandFilter,
  commandSubject,
  eventSubject,
  laneSubject,
  letterSubject,
  logSubject,
  parseLaneSubject,
  parsePushSubject,
  parseRunSubject,
  pushSubject,
  stageRunSubject,
  summarySubject,
} from "../../../protocol/subjects.ts";

const name = fc.string({ unit: "binary", minLength: 1, maxLength: 30 });
const number = fc.integer({ min: 1, max: 999_999_999_999_999 });
const round = fc.integer({ min: 1, max: 99 });

test("subjects read as the manual has them", () => {
  const id = { repository: "acme/api", number: 42 };
  assert.equal(pushSubject("acme/api"), "toroid.push.acme__api");
  assert.equal(buildRunSubject(id), "toroid.run.acme__api.42._build");
  assert.equal(stageRunSubject({ ...id, stage: "prod", round: 2 }), "toroid.run.acme__api.42.prod_r2");
  assert.equal(stageRunSubject({ ...id, stage: "_plan", round: 1 }), "toroid.run.acme__api.42._plan");
  assert.equal(laneSubject({ repository: "acme/api", environment: "prod" }), "toroid.lane.acme__api.prod");
  assert.equal(summarySubject(id), "toroid.build.acme__api.42");
  assert.equal(logSubject({ ...id, stage: "build", round: 1 }, 3), "toroid.log.acme__api.42.build.3");
  assert.equal(commandSubject("arm", "work", "acme/api"), "toroid.cmd.arm.work.acme__api");
  assert.equal(eventSubject("acme/api", 42, "prod", "lane", "entered"), "toroid.events.acme__api.42.prod.lane.entered");
  assert.equal(
    eventSubject("acme/api", null, null, "environment", "paused"),
    "toroid.events.acme__api.-.-.environment.paused",
  );
});

test("what a subject was made of comes back from it", () => {
  fc.assert(
    fc.property(name, number, name, round, (repository, n, stage, r) => {
      const id = { repository, number: n };
      assert.equal(parsePushSubject(pushSubject(repository)), repository);
      assert.deepEqual(parseRunSubject(buildRunSubject(id)), { kind: "build", id });
      const stageId = { ...id, stage, round: r };
      assert.deepEqual(parseRunSubject(stageRunSubject(stageId)), { kind: "stage", id: stageId });
      const environment = { repository, environment: stage };
      assert.deepEqual(parseLaneSubject(laneSubject(environment)), environment);
    }),
  );
});

test("a subject of somebody else is refused", () => {
  const wrong = [
    "",
    "toroid",
    "toroid.run.acme__api.42",
    "toroid.run.acme__api.0._build",
    "toroid.run.acme__api.x._build",
    "toroid.run.acme__api.42.build.more",
    "toroid.run..42.build",
    "toroid.lane.acme__api.42.build",
    "other.run.acme__api.42.build",
    "toroid.lane.acme__api",
    "toroid.lane.acme__api.prod.more",
    "toroid.push.acme__api.more",
    "toroid.push",
  ];
  for (const subject of wrong) {
    for (const parse of [parseRunSubject, parseLaneSubject, parsePushSubject]) {
      assert.throws(
        () => parse(subject),
        (error) => error instanceof ToroidError && error.code === "TOR_DECODE",
        `${parse.name} of ${subject}`,
      );
    }
  }
});

test("the longest names still fit the server's limit of 4,096 bytes for a control line", () => {
  const repository = `acme/${"ü".repeat(195)}`;
  const stage = "build ".padEnd(200, "=");
  assert.ok(logSubject({ repository, number: 999_999_999_999_999, stage, round: 99 }, 3).length < 3_500);
});

test("every subject lies in exactly one stream, and in the filter of those who wait for it", () => {
  const id = { repository: "acme/api", number: 42 };
  const all = {
    TOROID_PUSH: pushSubject("acme/api"),
    TOROID_RUN: stageRunSubject({ ...id, stage: "prod", round: 2 }),
    TOROID_LANE: laneSubject({ repository: "acme/api", environment: "prod" }),
    TOROID_CMD: commandSubject("default", "plan", "acme/api"),
    TOROID_BUILD: summarySubject(id),
    TOROID_LOG: logSubject({ ...id, stage: "build", round: 1 }, 1),
    TOROID_LETTER: letterSubject("0123456789abcdef"),
    TOROID_EVENTS: eventSubject("acme/api", 42, null, "taskrun", "finished"),
  };
  for (const [stream, subject] of Object.entries(all)) {
    const homes = STREAMS.filter((spec) => spec.subjects.some((filter) => matches(filter, subject)));
    assert.deepEqual(
      homes.map((spec) => spec.name),
      [stream],
    );
    for (const reactor of REACTORS) assert.equal(matches(reactor.filter, subject), reactor.stream === stream);
  }
  assert.ok(matches(commandFilter("default", "plan"), all.TOROID_CMD));
  assert.ok(!matches(commandFilter("default", "work"), all.TOROID_CMD), "plans do not wait behind builds");
  assert.equal(executorConsumer("default", "plan").stream, COMMAND.name);
});

test("streams and buckets together leave room in the store they share", () => {
  const specs: readonly Pick<StreamSpec, "share" | "name">[] = [...STREAMS, ...BUCKETS];
  const store = 1_000_000_000;
  const sum = specs.reduce((total, spec) => total + maxBytesOf(spec, store), 0);
  assert.ok(sum < store, `${sum} of ${store}`);
  for (const spec of STREAMS) assert.ok(spec.maxConsumers > 0 && maxBytesOf(spec, store) > 0, spec.name);
});

/** NATS matching of a filter with wildcards. */
function matches(filter: string, subject: string): boolean {
  const [want, have] = [filter.split("."), subject.split(".")];
  for (const [at, token] of want.entries()) {
    if (token === ">") return have.length > at;
    if (have[at] === undefined || (token !== "*" && token !== have[at])) return false;
  }
  return want.length === have.length;
}
