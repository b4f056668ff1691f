/** Our own command lines, a pool of networks and a `serve`, in namespaces of the benchmark's own. */
import { join } from "node:path";
import { execa } from "execa";
import { until } from "../../support/until.ts";
import { allowWeak } from "../../support/weak.ts";
import { percentile } from "../statistics.ts";
import type { Case } from "./driver.ts";
import type { Task } from "./peers.ts";
import type { Place } from "./place.ts";

const HELPER = join(import.meta.dirname, "..", "..", "..", "sandbox", "build", "toroid-sandbox");
/** Nobody is it; the driver, as root, is let in too. */
const CLIENT_UID = "65533";
/** Where nothing answers: the benchmark asks for no name. */
const RESOLVER = "10.99.0.53";
const WALL_MS = 60_000;

function asked(task: Task): readonly string[] {
  return ["--memory-bytes", `${task.memoryBytes}`, "--pids", `${task.pids}`, "--wall-ms", `${WALL_MS}`];
}

/** `run` as a program, which is what the peers are. */
export function runCase(name: string, task: Task, cgroup: string | null, more: readonly string[]): Case {
  const where = cgroup === null ? [] : ["--cgroup", cgroup];
  const words = ["--image", task.image, "--scratch", "{dir}", ...where, ...asked(task), ...allowWeak(), ...more];
  return { name, words: [HELPER, "run", ...words, "--", ...task.command] };
}

/** What the helper says of itself when it runs that: the limits that hold here, and median µs of each step. */
export async function describe(place: Place, one: Case, runs: number): Promise<Readonly<Record<string, unknown>>> {
  const steps = new Map<string, number[]>();
  let limits: unknown;
  for (let n = 0; n < runs; n += 1) {
    const dir = join(place.runs, `described-${n}`);
    await place.host.sh(`mkdir -m 700 '${dir}'`);
    const [helper = "", verb = "", ...options] = one.words.map((word) => (word === "{dir}" ? dir : word));
    const [enter = "", ...rest] = place.host.enter;
    const words = [...rest, helper, verb, "--json-status-fd", "3", ...options];
    const { stdio } = await execa(enter, words, { stdio: ["ignore", "ignore", "inherit", "pipe"] });
    for (const line of stdio[3].split("\n")) {
      const event: Readonly<Record<string, unknown>> = JSON.parse(line);
      if (event["event"] === "created") limits = event["limits"];
      if (event["event"] === "gone") add(steps, "teardown", Number(event["teardownUs"]));
      if (event["event"] !== "started") continue;
      for (const [name, us] of Object.entries(event["setupUs"] ?? {})) add(steps, name, Number(us));
    }
  }
  return { limits, stepsUs: Object.fromEntries([...steps].map(([name, us]) => [name, percentile(us, 0.5)])) };
}

function add(steps: Map<string, number[]>, name: string, us: number): void {
  steps.set(name, [...(steps.get(name) ?? []), us]);
}

export interface Pool extends AsyncDisposable {
  /** `run` in a slot's network. */
  readonly full: Case;
}

export async function startPool(task: Task, place: Place, cgroup: string | null): Promise<Pool> {
  const state = join(place.runs, "pool");
  const net = (words: string) => place.host.sh(`${HELPER} net ${words} --state '${state}'`);
  await place.host.sh(`mkdir -m 700 '${state}'`);
  await net(`up --slots 1 --dns ${RESOLVER} --forward`);
  const slot = ["--network", "full", "--netns", join(state, "0"), "--resolver", join(state, "resolv.conf")];
  return {
    full: { ...runCase("runFull", task, cgroup, slot), within: [`/proc/${place.host.pid}/ns/net`] },
    [Symbol.asyncDispose]: async () => void (await net("down")),
  };
}

export interface Serving extends AsyncDisposable {
  /** A run in that slot. */
  case(name: string, slot: number, network: "none" | "full"): Case;
}

export async function startServe(task: Task, place: Place, cgroup: string | null): Promise<Serving> {
  const folder = join(place.runs, "serve");
  const [socket, state, net] = ["socket", "state", "net"].map((name) => join(folder, name)) as [string, string, string];
  await place.host.sh(`mkdir -m 700 '${folder}' '${state}' '${net}'`);
  const words = ["--socket", socket, "--client-uid", CLIENT_UID, "--state", state, "--slots", "2"];
  words.push("--images", join(task.image, ".."), "--net", net, "--dns", RESOLVER, "--forward");
  words.push("--parent-pid", `${process.pid}`, ...allowWeak());
  if (cgroup !== null) words.push("--cgroup", cgroup);
  const [enter = "", ...rest] = place.host.enter;
  const serve = execa(enter, [...rest, HELPER, "serve", ...words], {
    stdio: ["ignore", "pipe", "inherit"],
    reject: false,
  });
  const serving: Serving = {
    case: (name, slot, network) => {
      const options = ["--image", task.image, "--scratch", "{name}", "--slot", `${slot}`, ...asked(task)];
      return { name, words: [`@${socket}`, "run", ...options, "--network", network, "--", ...task.command] };
    },
    async [Symbol.asyncDispose]() {
      serve.kill("SIGTERM");
      await serve;
    },
  };
  let said = "";
  serve.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  try {
    await until("serve", () => said.includes('"pool":true'));
    return serving;
  } catch (error) {
    await serving[Symbol.asyncDispose]();
    throw error;
  }
}
