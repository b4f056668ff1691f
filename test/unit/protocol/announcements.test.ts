import assert from "node:assert/strict";
import { test } from "node:test";
import { announce } from "../../../protocol/announcements.ts";

const AT = { repository: "acme/api", build: 42, environment: "prod" };

test("an announcement is a CloudEvent on a subject that can be subscribed to by any of its words", () => {
  const told = announce({ subject: "service", predicate: "deployed" }, AT, "e1", 1_785_000_000_000, {
    commit: "c0ffee",
  });
  assert.deepEqual(told, {
    subject: "toroid.events.acme__api.42.prod.service.deployed",
    event: {
      specversion: "1.0",
      id: "e1",
      source: "/toroid/acme/api",
      type: "dev.cdevents.service.deployed",
      subject: "acme/api#42 prod",
      time: "2026-07-25T17:20:00.000Z",
      datacontenttype: "application/json",
      data: { repository: "acme/api", build: 42, environment: "prod", commit: "c0ffee" },
    },
  });
});

test("what CDEvents has no word for is ours", () => {
  const type = (what: Parameters<typeof announce>[0]): string => announce(what, AT, "e", 0, {}).event.type;
  assert.equal(type({ subject: "taskrun", predicate: "finished" }), "dev.cdevents.taskrun.finished");
  assert.equal(
    type({ subject: "pipelinerun", predicate: "cancelrequested" }),
    "dev.toroid.pipelinerun.cancelrequested",
  );
  assert.equal(type({ subject: "stage", predicate: "fenced" }), "dev.toroid.stage.fenced");
  assert.equal(type({ subject: "environment", predicate: "paused" }), "dev.toroid.environment.paused");
});

test("what is of no build or environment says so", () => {
  const paused = announce({ subject: "environment", predicate: "paused" }, { ...AT, build: null }, "e", 0, {});
  assert.equal(paused.subject, "toroid.events.acme__api.-.prod.environment.paused");
  assert.equal(paused.event.subject, "acme/api prod");
  const queued = announce({ subject: "pipelinerun", predicate: "queued" }, { ...AT, environment: null }, "e", 0, {});
  assert.equal(queued.subject, "toroid.events.acme__api.42.-.pipelinerun.queued");
  assert.equal(queued.event.subject, "acme/api#42");
});

test("an announcement is one line of JSON", () => {
  const { event } = announce({ subject: "stage", predicate: "refused" }, AT, "e", 0, { why: "two\nlines" });
  assert.doesNotMatch(JSON.stringify(event), /\n/);
});
