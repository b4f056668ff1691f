/** NATS, the queue, coordinators and executors as real processes, each with links of its own that can be cut. */
import { appendFileSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { DeliverPolicy } from "@nats-io/jetstream";
import { readStage } from "../../../executor/holding.ts";
import { follow } from "../../../kit/follow.ts";
import { connectJet, type Jet } from "../../../kit/jetstream.ts";
import { makeLogger } from "../../../kit/log.ts";
import { QUEUE_CREDENTIALS, QUEUE_REGION } from "../../../kit/queue-server.ts";
import { decode } from "../../../protocol/codec.ts";
import { buildEvent } from "../../../protocol/events.ts";
import { type BuildId, formatBuild, type StageId } from "../../../protocol/ids.ts";
import type { Stage } from "../../../protocol/stage.ts";
import { LANE, RUN } from "../../../protocol/streams.ts";
import { parseRunSubject } from "../../../protocol/subjects.ts";
import { NatsServer } from "../../support/nats.ts";
import { QueueServer } from "../../support/queue.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import { weakHere } from "../../support/weak.ts";
import { leftToDo } from "./left.ts";
import { Member } from "./member.ts";
import { Operator } from "./operator.ts";
import type { Plan, PlannedPush, Who } from "./plan.ts";
import { Repositories } from "./repositories.ts";
import { type Message, readTruth, type Truth } from "./truth.ts";
import { World } from "./world.ts";

const SLOTS = 3;
const TELL_MS = 15_000;
/** Nearly all that the server has: what coordinators remove from the lanes has to be heard of before. */
const STORE_BYTES = 960 * 1024 * 1024;
/** A push whose coordinator died comes again after the 30 seconds for which it was hidden. */
const QUIET_MS = 180_000;
const KEPT = join(import.meta.dirname, "..", "..", "..", ".toroid", "fault");

export interface FleetSettings {
  /** Variables besides their own. */
  readonly env?: (who: Who) => Readonly<Record<string, string>>;
}

export class Fleet implements AsyncDisposable {
  readonly nats: NatsServer;
  readonly queue: QueueServer;
  readonly world: World;
  readonly jet: Jet;
  readonly operator: Operator;
  readonly members: readonly Member[];
  readonly #plan: Plan;
  readonly #repositories: Repositories;
  readonly #dir: string;
  readonly #cleanup: AsyncDisposableStack;
  readonly #beganAtMs = performance.now();
  readonly #unfinished = new Map<string, BuildId>();
  readonly #pushed = new Map<string, string[]>();
  readonly #lanes: Message[] = [];
  readonly #stop: AbortController;
  #finished = 0;

  private constructor(
    plan: Plan,
    parts: Pick<Fleet, "nats" | "queue" | "world" | "jet" | "members">,
    repositories: Repositories,
    dir: string,
    cleanup: AsyncDisposableStack,
  ) {
    this.#plan = plan;
    this.nats = parts.nats;
    this.queue = parts.queue;
    this.world = parts.world;
    this.jet = parts.jet;
    this.members = parts.members;
    this.#repositories = repositories;
    this.#dir = dir;
    this.#cleanup = cleanup;
    this.#stop = new AbortController();
    this.operator = new Operator({
      urls: () => this.members.flatMap(({ url }) => url ?? []),
      unfinished: () => [...this.#unfinished.values()],
      note: (line) => this.note(line),
    });
  }

  static async start(plan: Plan, settings: FleetSettings = {}): Promise<Fleet> {
    await using undo = new AsyncDisposableStack();
    const dir = undo.use(await tempDir("toroid-random-"));
    const nats = undo.use(await NatsServer.start());
    const queue = undo.use(await QueueServer.start());
    const world = undo.use(await World.start());
    // A run that says nothing for long is taken for one that hangs.
    const making = setInterval(() => console.log(`commits for ${plan.pushes.length} pushes are made`), TELL_MS);
    const repositories = undo.use(
      await Repositories.make(plan.pushes, world.port).finally(() => clearInterval(making)),
    );
    const jet = undo.use(await connectJet({ url: nats.url, name: "test" }));
    const member = async (who: Who): Promise<Member> =>
      undo.use(
        await Member.start({
          who,
          dir: dir.path,
          natsPort: nats.port,
          queuePort: Number(new URL(queue.endpoint).port),
          env: (ports) => ({
            ...(who.kind === "coordinator" ? coordinatorEnv(queue, ports.queue) : executorEnv(dir.path, who.index)),
            TOROID_NATS_URL: `nats://127.0.0.1:${ports.nats}`,
            ...settings.env?.(who),
          }),
        }),
      );
    const { coordinators, executors } = plan.size;
    const members: Member[] = [];
    for (let index = 0; index < coordinators; index += 1) members.push(await member({ kind: "coordinator", index }));
    await Promise.all(members.map((one) => one.ready()));
    for (let index = 0; index < executors; index += 1) members.push(await member({ kind: "executor", index }));
    await Promise.all(members.map((one) => one.ready()));
    const parts = { nats, queue, world, jet, members };
    const fleet = new Fleet(plan, parts, repositories, dir.path, undo.move());
    await fleet.#follow();
    const tell = (): void => console.log(`${fleet.open} builds are open, ${world.deeds.length} deeds`);
    fleet.#cleanup.adopt(setInterval(tell, TELL_MS), clearInterval);
    return fleet;
  }

  member(who: Who): Member {
    const found = this.members.find((one) => one.who.kind === who.kind && one.who.index === who.index);
    if (found === undefined) throw new Error(`there is no ${who.kind} ${who.index}`);
    return found;
  }

  /** The stage now, and whose attempt at it is the newest. */
  async holderOf(id: StageId): Promise<{ readonly stage: Stage; readonly member: Member | null }> {
    const { stage } = await readStage(this.jet, id);
    const { executor } = stage;
    return { stage, member: this.members.find(({ ids }) => executor !== null && ids.includes(executor)) ?? null };
  }

  /** Keys of what was pushed, by repository. */
  get pushed(): ReadonlyMap<string, readonly string[]> {
    return this.#pushed;
  }

  /** Builds that were pushed and have not finished, as far as is known. */
  get open(): number {
    return [...this.#pushed.values()].reduce((sum, keys) => sum + keys.length, 0) - this.#finished;
  }

  /** In the journal, which is kept when something fails. */
  note(line: string): void {
    const seconds = ((performance.now() - this.#beganAtMs) / 1_000).toFixed(1).padStart(6);
    appendFileSync(join(this.#dir, "journal.log"), `${seconds} ${line}\n`);
  }

  /** Sends the message of the push; each copy of it has the same delivery id. */
  async push(push: PlannedPush): Promise<void> {
    const delivery = `${this.#plan.seed}-${push.repository.replace("/", "-")}-${push.commit}`;
    const keys = this.#pushed.get(push.repository) ?? [];
    this.#pushed.set(push.repository, keys);
    const key = `delivery:${delivery}`;
    if (!keys.includes(key)) keys.push(key);
    const attributes = { "X-GitHub-Event": "push", "X-GitHub-Delivery": delivery };
    // As a forge does: until the queue says that it has it, which it may have had before.
    const send = () => this.queue.send(this.#repositories.payload(push), attributes);
    await until("the queue to take a message", send, { withinMs: 60_000, everyMs: 100 });
  }

  /** Waits until nothing is left to do; a sentence when that does not come. */
  async quiet(withinMs = QUIET_MS): Promise<string | null> {
    let why = "";
    try {
      await until(
        "all to be quiet",
        async () => {
          const now = await this.#busy();
          if (now !== why) this.note(now === "" ? "quiet" : `not quiet: ${now}`);
          why = now;
          return why === "";
        },
        { withinMs, everyMs: 500 },
      );
      return null;
    } catch {
      return `it never became quiet: ${why}`;
    }
  }

  /** What is still to be done; empty when nothing is. */
  async #busy(): Promise<string> {
    if (this.open > 0)
      return `${this.open} builds have not finished: ${[...this.#unfinished.keys()].slice(0, 9).join(" ")}`;
    const [waits, dead] = await Promise.all([this.queue.counts(), this.queue.counts(this.queue.deadLetterUrl)]);
    if (waits.waiting + waits.inFlight > 0) return `${waits.waiting + waits.inFlight} messages are in SQS`;
    if (dead.waiting > 0) return `${dead.waiting} messages are in the dead-letter queue`;
    return leftToDo(this.jet);
  }

  /** What became of everything, by the store. */
  async truth(): Promise<Truth> {
    const { last_seq } = (await this.jet.jsm.streams.info(LANE.name)).state;
    await until("the last of the lanes to be heard of", () => last_seq === 0 || this.#lanes.at(-1)?.seq === last_seq);
    const unheard = this.#lanes.find(({ seq }, at) => seq !== (this.#lanes[at - 1]?.seq ?? 0) + 1);
    if (unheard !== undefined) throw new Error(`what happened in lanes before ${unheard.seq} was removed unheard of`);
    return readTruth(this.jet, this.#lanes);
  }

  /** Ends all daemons in order. Answers how each ended, for those that did not end well. */
  async leave(): Promise<readonly string[]> {
    // One that was killed last may be away still, and would seem to have ended by that.
    await Promise.all(this.members.map((one) => one.ready()));
    await Promise.all(this.members.map((one) => one.end()));
    return this.members.flatMap(({ name, lastEnd }) => (lastEnd === "0" ? [] : [`${name} ended with ${lastEnd}`]));
  }

  /** Keeps journal and logs, and says where. */
  async keep(): Promise<string> {
    const kept = join(KEPT, `seed-${this.#plan.seed}`);
    await mkdir(kept, { recursive: true });
    const isLog = (path: string): boolean => path === this.#dir || path.endsWith(".log");
    await cp(this.#dir, kept, { recursive: true, filter: isLog });
    return kept;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.members.map((one) => one.end()));
    await this.#cleanup.disposeAsync();
  }

  async #follow(): Promise<void> {
    const quietLog = makeLogger("test", "fatal");
    await follow(this.jet, LANE.name, DeliverPolicy.All, this.#stop.signal, quietLog, (subject, data, seq) => {
      this.#lanes.push({ subject, data: data.slice(), seq });
    });
    await follow(this.jet, RUN.name, DeliverPolicy.All, this.#stop.signal, quietLog, (subject, data) => {
      const parsed = parseRunSubject(subject);
      if (parsed.kind !== "build") return;
      const name = formatBuild(parsed.id);
      const { type } = decode(buildEvent, data);
      if (type === "created") this.#unfinished.set(name, parsed.id);
      if (type === "finished" && this.#unfinished.delete(name)) this.#finished += 1;
    });
  }
}

function coordinatorEnv(queue: QueueServer, queuePort: number): Readonly<Record<string, string>> {
  return {
    TOROID_STORE_BYTES: String(STORE_BYTES),
    TOROID_HTTP_PORT: "0",
    TOROID_ALLOW_LAZY_SYNC: "1",
    TOROID_QUEUE_URL: queue.queueUrl,
    TOROID_DEAD_LETTER_URL: queue.deadLetterUrl,
    TOROID_QUEUE_ENDPOINT: `http://127.0.0.1:${queuePort}`,
    AWS_REGION: QUEUE_REGION,
    AWS_ACCESS_KEY_ID: QUEUE_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: QUEUE_CREDENTIALS.secretAccessKey,
  };
}

function executorEnv(dir: string, index: number): Readonly<Record<string, string>> {
  return {
    TOROID_EXECUTOR_STATE: join(dir, `executor-${index}`),
    TOROID_ARTIFACTS: join(dir, "artifacts"),
    TOROID_ALLOW_LOCAL_REMOTES: "1",
    TOROID_SLOTS: String(SLOTS),
    TOROID_ALLOW_WEAK: weakHere().join(","),
    // Nothing of this machine's network is for tests to change, and scripts have to reach the test.
    TOROID_NETWORK: "host",
  };
}
