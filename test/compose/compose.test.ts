/** The second way to start, on a real engine: everything up by docker-compose.yml, and then parts of it killed. */
import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { z } from "zod";
import { Missing } from "../support/debian.ts";
import { assertNoLeaks, type Snapshot, snapshot } from "../support/leaks.ts";
import { missing, needs } from "../support/skips.ts";
import { until } from "../support/until.ts";
import { type Container, Stack } from "./stack.ts";

const SETUP = { timeout: 1_200_000 } as const;
const SLOW = { timeout: 600_000 } as const;
const MINUTES = { withinMs: 400_000, everyMs: 500 } as const;
const NEEDS = { root: true, x64: true, program: ["unshare", "nsenter", "setpriv", "ip", "tar", "git"] } as const;
const API = ["http://127.0.0.1:7433", "http://127.0.0.1:7434"] as const;
const NATS = "nats://127.0.0.1:4222";
const SERVICES = { nats: 1, queue: 1, "coordinator-1": 1, "coordinator-2": 1, executor: 3 } as const;
const REPOSITORY = "load/pushes";
const REMOTE = "/srv/git/pushes.git";
const PUSHES = 100;
/** Heard by the runner, which takes a file that is silent for hung: this one has a limit of its own for each step. */
const say = (line: string): void => console.log(`compose: ${line}`);
const BEAT_MS = 60_000;
const listed = z.looseObject({ builds: z.array(z.looseObject({ status: z.string() })) });
const evidence = z.object({
  faults: z.array(z.string()),
  builds: z.array(z.object({ commit: z.string().nullable(), outcome: z.string().nullable(), message: z.string() })),
});

describe("the stack of docker-compose.yml", () => {
  let leaks: Snapshot;
  let beat: NodeJS.Timeout;
  let stack: Stack;
  /** What could not be had for it. */
  let why: string | undefined;
  /** Where pushes come from: whoever is killed, not this. */
  let pusher = "";
  const ready = (t: TestContext): boolean => needs(t, { ...NEEDS, other: why });

  before(async () => {
    beat = setInterval(() => say(`${Math.round(performance.now() / 1_000)} s`), BEAT_MS);
    leaks = await snapshot();
    if (missing(NEEDS) !== undefined) return;
    try {
      stack = await Stack.build(say);
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      why = `needs a docker engine and images: ${error.message}`;
      return;
    }
    say("the images are made");
    await stack.compose(["up", "-d", "--scale", "executor=3"]);
    say("everything is started");
  }, SETUP);

  after(async () => {
    clearInterval(beat);
    await stack?.[Symbol.asyncDispose]();
    await assertNoLeaks(leaks, { withinMs: 30_000 });
  }, SLOW);

  async function everything(): Promise<readonly Container[]> {
    const all = await Promise.all(Object.keys(SERVICES).map((service) => stack.containers(service)));
    return all.flat();
  }

  async function healthy(): Promise<readonly Container[] | null> {
    const all = await everything();
    return all.length === 7 && all.every(isHealthy) ? all : null;
  }

  /** A line of the shell in a container that has the repositories, and the queue's address. */
  const inPusher = (line: string): Promise<string> => stack.docker(["exec", pusher, "sh", "-euc", line]);

  test("is healthy, and reached on loopback alone", SLOW, async (t) => {
    if (!ready(t)) return;
    const all = await until("all parts to be healthy", healthy, MINUTES);
    const bindings = all.flatMap(({ NetworkSettings: { Ports } }) =>
      Object.values(Ports).flatMap((ports) => ports ?? []),
    );
    assert.deepEqual(new Set(bindings.map(({ HostIp }) => HostIp)), new Set(["127.0.0.1"]));
    for (const url of API) {
      const { status, store } = z
        .looseObject({ status: z.string(), store: z.looseObject({ ok: z.boolean() }) })
        .parse(await stack.get(`${url}/readyz`));
      assert.deepEqual([status, store.ok], ["ok", true], `${url} says otherwise, or that the store syncs lazily`);
    }
  });

  test("takes the sample's push, and shows its stages to the last", SLOW, async (t) => {
    if (!ready(t)) return;
    const said = await stack.compose(["run", "--rm", "-T", "sample"]).catch((error: unknown) => String(error));
    const { builds } = z
      .looseObject({ builds: z.array(z.looseObject({ outcome: z.string().nullable() })) })
      .parse(await stack.get(`${API[0]}/api/v1/builds?repository=demo%2Fhello`));
    assert.deepEqual(
      builds.map(({ outcome }) => outcome),
      ["passed"],
      said,
    );
  });

  test("leaves root to the sandbox in an executor, which is not privileged", SLOW, async (t) => {
    if (!ready(t)) return;
    for (const { Id, HostConfig } of await stack.containers("executor")) {
      assert.equal(HostConfig.Privileged, false);
      const line = `for p in /proc/[0-9]*; do echo "$(tr '\\0' ' ' < $p/cmdline) $(grep ^Uid: $p/status)"; done`;
      const processes = await stack.docker(["exec", Id, "sh", "-c", line]);
      assert.match(processes, /toroid executor {2}Uid:\t650\t650\t650\t650/);
      assert.match(processes, /toroid-sandbox serve .* Uid:\t0\t0\t0\t0/);
    }
    for (const service of ["coordinator-1", "coordinator-2"]) {
      const { Id, HostConfig } = await stack.container(service);
      assert.deepEqual(HostConfig.CapAdd ?? [], []);
      assert.match(await stack.docker(["exec", Id, "grep", "-h", "^CapBnd:", "/proc/self/status"]), /\t0{16}$/);
    }
  });

  test("makes one build of each of 100 pushes, while a coordinator, an executor and NATS die", SLOW, async (t) => {
    if (!ready(t)) return;
    pusher = await startPusher(stack);
    const commits = (await inPusher(MAKE_PUSHES)).trim().split("\n");
    assert.equal(commits.length, PUSHES);
    const quarter = async (n: number): Promise<void> => {
      const [from, to] = [n * 25 + 1, n * 25 + 25];
      await inPusher(`cd ${REMOTE}; sed -n ${from},${to}p /tmp/pushes | toroid notify \\
        --repository ${REPOSITORY} --remote file://${REMOTE} 2> /dev/null`);
    };
    await quarter(0);
    await stack.crash(await stack.container("coordinator-1"));
    say("coordinator-1 was killed");
    await quarter(1);
    const [executor] = await stack.containers("executor");
    assert.ok(executor);
    await stack.crash(executor);
    await stack.compose(["kill", "coordinator-2"]);
    say("an executor and coordinator-2 were killed");
    await quarter(2);
    await stack.crash(await stack.container("nats"));
    say("NATS was killed");
    await quarter(3);
    // What was killed by its engine stays down until it is asked for again; what died is back by itself.
    await until("NATS to be back", async () => isHealthy(await stack.container("nats")), MINUTES);
    await stack.compose(["up", "-d", "--no-recreate", "--scale", "executor=3"]);
    say("coordinator-2 is up again");
    let seen = 0;
    const finished = async (): Promise<boolean> => {
      const { builds } = listed.parse(await stack.get(`${API[1]}/api/v1/builds?repository=load%2Fpushes&limit=100`));
      const ended = builds.filter(({ status }) => status === "finished").length;
      if (ended !== seen) say(`${ended} of ${PUSHES} pushes are built`);
      seen = ended;
      return ended === PUSHES;
    };
    await until("every push to be built", finished, MINUTES);
    const { faults, builds } = evidence.parse(await stack.script("evidence.ts", NATS, REPOSITORY));
    assert.deepEqual(faults, []);
    assert.deepEqual([builds.length, new Set(builds.map(({ commit }) => commit))], [PUSHES, new Set(commits)]);
    assert.deepEqual(
      builds.filter(({ outcome }) => outcome !== "passed"),
      [],
    );
    const all = await until("all parts to be healthy again", healthy, MINUTES);
    const restarted = all.filter(({ RestartCount }) => RestartCount > 0).map(({ Name }) => Name.replace(/_\d$/, ""));
    for (const name of ["coordinator-1", "executor", "nats"]) {
      assert.ok(restarted.includes(`/toroid_${name}`), `${name} did not come back by itself: ${restarted.join(" ")}`);
    }
  });
});

function isHealthy({ State }: Container): boolean {
  return State.Health?.Status === "healthy";
}

/** Prints the commits; what is told to the queue of each is in /tmp/pushes. */
const MAKE_PUSHES = `git init -q --bare --initial-branch=main ${REMOTE}
  git init -q --initial-branch=main /tmp/work; cd /tmp/work
  git config user.name Pusher; git config user.email pusher@example.com
  printf '%s\\n' 'script: echo "build $TOROID_BUILD of $TOROID_COMMIT"' > .toroid.yml
  git add .toroid.yml; git commit -q -m "push 1"
  n=1; while [ $n -lt ${PUSHES} ]; do n=$((n + 1)); git commit -q --allow-empty -m "push $n"; done
  git push -q ${REMOTE} main
  before=0000000000000000000000000000000000000000
  for commit in $(git rev-list --reverse main); do
    echo "$before $commit refs/heads/main" >> /tmp/pushes; before=$commit; echo $commit
  done`;

async function startPusher(stack: Stack): Promise<string> {
  const words = ["run", "-d", "--network", "toroid_default", "-v", "toroid_repositories:/srv/git"];
  const queue = {
    TOROID_QUEUE_URL: "http://queue:9324/000000000000/toroid",
    TOROID_QUEUE_ENDPOINT: "http://queue:9324",
    AWS_REGION: "us-east-1",
    AWS_ACCESS_KEY_ID: "toroid",
    AWS_SECRET_ACCESS_KEY: "toroid",
  };
  for (const [name, value] of Object.entries(queue)) words.push("-e", `${name}=${value}`);
  const { version } = z.looseObject({ version: z.string() }).parse(await ownPackage());
  return stack.docker([
    ...words,
    "--init",
    "--no-healthcheck",
    "--entrypoint",
    "sleep",
    `toroid:${version}`,
    "infinity",
  ]);
}

async function ownPackage(): Promise<unknown> {
  return (await import("../../package.json", { with: { type: "json" } })).default;
}
