import assert from "node:assert/strict";
import { test } from "node:test";
import { groupsOf, untagged } from "../../../../coordinator/artifacts/groups.ts";
import type { Thing } from "../../../../coordinator/artifacts/inventory.ts";
import { type Rules, rule } from "../../../../coordinator/artifacts/policy.ts";
import type { Use } from "../../../../coordinator/artifacts/uses.ts";
import type { Whereabouts } from "../../../../coordinator/artifacts/whereabouts.ts";
import { bakeTags } from "../../../../protocol/ami.ts";
import { commitOf, REPOSITORY } from "../samples.ts";

const NOW = 1_790_000_000_000;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const KEY = `sha256:${"ef".repeat(32)}`;
const RULES: Rules = {
  nowMs: NOW,
  sweepAfterMs: 60 * MINUTE,
  keep: { newest: 1, ms: null },
  seenAtMs: () => NOW,
};

/** Of the bake of build `number`, made some minutes ago. */
function thing(kind: Thing["kind"], number: number, changes: Partial<Thing> = {}): Thing {
  const origin = {
    system: "toroid",
    repository: REPOSITORY,
    commit: commitOf(number),
    number,
    stage: "build",
    round: 1,
  };
  return {
    kind,
    region: "eu-west-1",
    id: `${kind} ${number}`,
    tags: bakeTags({ ...origin, key: KEY, token: number }),
    createdAtMs: NOW - 61 * MINUTE,
    state: kind === "image" ? "available" : "",
    snapshots: [],
    isNamed: false,
    ...changes,
  };
}

function where(changes: Partial<Whereabouts> = {}): Whereabouts {
  const endedAtMs = NOW - 60 * MINUTE;
  return { kind: "ended", buildEnded: true, endedAtMs, recorded: new Set(), summary: null, ...changes };
}

const RECORDED = where({ recorded: new Set(["image 1", "image 2", "image 3"]) });

/** What becomes of the image of build 1 beside that of build 2, which is newer. */
function fate(at: Whereabouts, image: Partial<Thing>, used: readonly Use[], rules: Partial<Rules>): string {
  const things = [thing("image", 1, image), thing("image", 2)];
  const groups = groupsOf(things).map((group) => ({ ...group, where: group.origin.number === 1 ? at : RECORDED }));
  const ruled = rule(groups, new Map([["image 1", used]]), { ...RULES, ...rules });
  const images = ruled.find(({ group }) => group.origin.number === 1)?.images;
  return `${images?.go === true ? "goes" : "stays"}: ${images?.why ?? ""}`;
}

function use(how: Use["how"], number: number, environment: string | null = null): Use {
  return { repository: REPOSITORY, how, number, environment };
}

const DAYS = { keep: { newest: null, ms: DAY } };
const BOTH = { keep: { newest: 1, ms: DAY } };
const NONE = { keep: { newest: null, ms: null } };
const TWO = { keep: { newest: 2, ms: null } };
const OLD = { createdAtMs: NOW - 2 * DAY };
const UNTIL = new Date(NOW - 61 * MINUTE + DAY).toISOString();
for (const [title, at, image, used, rules, expected] of [
  ["live", RECORDED, {}, [use("live", 1, "prod")], {}, "stays: it is live in prod"],
  ["live in two", RECORDED, {}, [use("live", 1, "a"), use("live", 1, "b")], {}, "stays: it is live in a, b"],
  ["where one goes back to", RECORDED, {}, [use("back", 1, "prod")], {}, "stays: prod can go back to it"],
  ["that waits", RECORDED, {}, [use("waits", 1, "prod")], {}, "stays: #1 is on its way into prod with it"],
  ["that a build has taken over", RECORDED, {}, [use("busy", 9)], {}, "stays: #9 has it and has not ended"],
  ["live, recorded by nobody", where(), {}, [use("live", 9, "prod")], {}, "stays: it is live in prod"],
  ["being baked", where({ kind: "baking" }), {}, [], {}, "stays: it is being baked"],
  [
    "of a build that has not ended",
    where({ buildEnded: false }),
    {},
    [],
    {},
    "stays: its build has not ended, and may take it over",
  ],
  ["recorded by nobody", where(), {}, [], {}, "goes: a bake left it that recorded none"],
  [
    "half made, of nobody",
    where({ kind: "unknown", recorded: null }),
    { state: "failed" },
    [],
    {},
    "goes: a bake left it that recorded none",
  ],
  [
    "half made, of nobody, known by its name",
    where({ kind: "unknown", recorded: null }),
    { state: "failed", isNamed: true },
    [],
    {},
    "stays: its build is not known here: if it is nobody else's, remove it by hand",
  ],
  [
    "of nobody",
    where({ kind: "unknown", recorded: null }),
    {},
    [],
    {},
    "stays: its build is not known here: if it is nobody else's, remove it by hand",
  ],
  ["beyond the newest", RECORDED, {}, [], {}, "goes: not among the newest 1, and nothing needs it"],
  ["among the newest", RECORDED, {}, [], TWO, `stays: it is among the newest 2 of ${REPOSITORY}`],
  ["that a newer build had", RECORDED, {}, [use("had", 3)], {}, `stays: it is the newest of ${REPOSITORY}`],
  ["young enough", RECORDED, {}, [], DAYS, `stays: it is kept until ${UNTIL}`],
  ["old enough", RECORDED, OLD, [], DAYS, "goes: it is old enough, and nothing needs it"],
  ["young enough, beyond the newest", RECORDED, {}, [], BOTH, `stays: it is kept until ${UNTIL}`],
  [
    "old and beyond the newest",
    RECORDED,
    OLD,
    [],
    BOTH,
    "goes: not among the newest 1 and old enough, and nothing needs it",
  ],
  [
    "old, where all are kept",
    RECORDED,
    OLD,
    [],
    NONE,
    "stays: all are kept: neither TOROID_AMI_KEEP nor TOROID_AMI_KEEP_DAYS is set",
  ],
  [
    "of whose build nothing is kept",
    where({ recorded: null }),
    {},
    [],
    {},
    "goes: not among the newest 1, and nothing needs it",
  ],
] as const) {
  test(`an AMI ${title} ${expected.split(":")[0] ?? ""}`, () => {
    assert.equal(fate(at, image, used, rules), expected);
  });
}

test("what is no image goes when it and the end of its bake are old enough, what uses others first", () => {
  const things = (["key pair", "security group", "snapshot", "volume", "instance"] as const).map((kind) =>
    thing(kind, 1, kind === "security group" ? { createdAtMs: null } : {}),
  );
  const ruled = (at: Whereabouts, rules: Partial<Rules> = {}) =>
    rule(
      groupsOf(things).map((group) => ({ ...group, where: at })),
      new Map(),
      { ...RULES, ...rules },
    )[0];
  const old = ruled(where(), { seenAtMs: () => NOW - DAY });
  assert.deepEqual(
    old?.leftovers.map(({ kind }) => kind),
    ["instance", "volume", "security group", "key pair", "snapshot"],
  );
  // Of that EC2 does not say when it was made: it counts from when it was seen first.
  assert.deepEqual(
    ruled(where())?.spared.map(({ thing: { kind } }) => kind),
    ["security group"],
  );
  assert.equal(ruled(where({ endedAtMs: NOW - 59 * MINUTE }))?.leftovers.length, 0);
  assert.equal(ruled(where({ kind: "baking" }))?.leftovers.length, 0);
  assert.equal(ruled(where({ kind: "unknown", endedAtMs: null, recorded: null }))?.leftovers.length, 4);
});

test("snapshots of an image are its own, whoever's tags they have; those without tags are found", () => {
  const image = thing("image", 1, { snapshots: ["snap-1", "snap-2"] });
  const [group] = groupsOf([image, thing("snapshot", 1, { id: "snap-1" }), thing("snapshot", 1, { id: "snap-3" })]);
  assert.deepEqual(
    group?.snapshots.map(({ id }) => id),
    ["snap-3"],
  );
  assert.deepEqual(untagged([image, thing("snapshot", 1, { id: "snap-1" })]), [{ image, ids: ["snap-2"] }]);
});
