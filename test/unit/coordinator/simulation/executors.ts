/** Executors as the protocol has them, with scripts that end as chance will have it. They die, and some come back from the dead. */
import type { Command } from "../../../../protocol/commands.ts";
import type { QueueRequest, StageEvent, StageOutcome, StageResult } from "../../../../protocol/events.ts";
import { formatStage, type StageId } from "../../../../protocol/ids.ts";
import type { Plan } from "../../../../protocol/pipeline/plan.ts";
import { applyToStage, bareResult, holds, NO_STAGE, ruleClaim, type Stage } from "../../../../protocol/stage.ts";
import { RUN } from "../../../../protocol/streams.ts";
import { stageRunSubject } from "../../../../protocol/subjects.ts";
import { NO_HISTORY, type Push, shortOf, type Work } from "../../../../protocol/work.ts";
import type { Random } from "../../../support/random.ts";
import { ARTIFACT, commitOf, source } from "../samples.ts";
import { Life, type Scheduler } from "./scheduler.ts";
import type { Store } from "./store.ts";

/** How often things go wrong; all 0 when the world is to come to rest. */
export interface Trouble {
  executorDies: number;
  executorSeemsDead: number;
  attemptErrors: number;
  scriptFails: number;
}

/** What a script did, as the world saw it. */
export interface ScriptRun {
  readonly id: StageId;
  readonly token: number;
  readonly environment: string | null;
  /** Whether it did what it was to do, however it was reported. */
  readonly went: boolean;
}

interface Executor {
  readonly life: Life;
  /** Tokens that its presence names. */
  readonly tokens: Set<number>;
}

export class Executors {
  readonly scripts: ScriptRun[] = [];
  readonly #store: Store;
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #trouble: Trouble;
  readonly #plan: (repository: string) => Plan;
  readonly #commits: (repository: string) => readonly string[];
  readonly #alive = new Map<string, Executor>();
  #born = 0;
  #busy = 0;

  constructor(
    store: Store,
    scheduler: Scheduler,
    trouble: Trouble,
    plan: (repository: string) => Plan,
    commits: (repository: string) => readonly string[],
  ) {
    this.#store = store;
    this.#scheduler = scheduler;
    this.#random = scheduler.random;
    this.#trouble = trouble;
    this.#plan = plan;
    this.#commits = commits;
  }

  get isIdle(): boolean {
    return this.#busy === 0;
  }

  /** Gives a command that waits to an executor that is free. */
  take(slots: number): void {
    if (this.#busy >= slots || this.#store.commands.length === 0) return;
    const [command] = this.#store.commands.splice(this.#random.below(this.#store.commands.length), 1);
    if (command === undefined) return;
    this.#born += 1;
    const executor: Executor = { life: new Life(`executor ${this.#born}`), tokens: new Set() };
    this.#alive.set(executor.life.name, executor);
    this.#busy += 1;
    void this.#serve(executor, command).then(() => this.#end(executor, null));
    if (this.#random.chance(this.#trouble.executorDies)) void this.#dieSoon(executor, command);
  }

  /** Its command is delivered again when it has been silent for too long. */
  async #dieSoon(executor: Executor, command: Command): Promise<void> {
    const other = new Life("fate");
    for (let steps = this.#random.below(8); steps >= 0; steps -= 1) await this.#scheduler.turn(other);
    if (!this.#alive.has(executor.life.name)) return;
    executor.life.die();
    this.#end(executor, command);
  }

  #end(executor: Executor, redelivered: Command | null): void {
    if (!this.#alive.delete(executor.life.name)) return;
    this.#busy -= 1;
    if (redelivered !== null) this.#store.commands.push(redelivered);
  }

  async #serve(executor: Executor, command: Command): Promise<void> {
    const { life } = executor;
    const token = await this.#claim(executor, command);
    if (token === null) return;
    if (this.#random.chance(this.#trouble.executorSeemsDead)) {
      // Its presence ran out while it works on; the command goes to somebody else.
      executor.tokens.clear();
      this.#store.commands.push(command);
    }
    await this.#scheduler.turn(life);
    if (command.work.kind === "plan") await this.#makePlan(life, command, command.work.push, token);
    else if (this.#read(command).stage.purpose === "check") await this.#check(life, command, token);
    else await this.#runStage(life, command, token);
    executor.tokens.delete(token);
  }

  #read(id: StageId): { readonly stage: Stage; readonly seq: number } {
    let stage = NO_STAGE;
    let last = 0;
    for (const { event, seq } of this.#store.log(stageRunSubject(id))) {
      stage = applyToStage(stage, event as StageEvent, seq);
      last = seq;
    }
    return { stage, seq: last };
  }

  /** As `executor/claim.ts`. */
  async #claim({ life, tokens }: Executor, command: Command): Promise<number | null> {
    for (;;) {
      await this.#scheduler.turn(life);
      const { stage, seq } = this.#read(command);
      const holder = this.#alive.get(stage.executor ?? "");
      const ruling = ruleClaim(stage, command.queuedSeq, holder?.tokens.has(stage.token) === true);
      await this.#scheduler.turn(life);
      switch (ruling.kind) {
        case "stale":
          return null;
        case "held":
          this.#store.commands.push(command);
          return null;
        case "give-up": {
          const event = { type: "finished", ...this.#store.head(), result: bareResult(ruling.outcome, ruling.message) };
          if (this.#append(command, event, seq) !== null) return null;
          break;
        }
        case "claim": {
          const { attempt, purpose, tookOver } = ruling;
          const event = { type: "claimed", ...this.#store.head(), executor: life.name, attempt, purpose, tookOver };
          const token = this.#append(command, event, seq);
          if (token === null) break;
          tokens.add(token);
          return token;
        }
      }
    }
  }

  #append(id: StageId, event: { readonly id: string; readonly atMs: number }, expected: number): number | null {
    return this.#store.append(RUN.name, stageRunSubject(id), event, expected);
  }

  /** As `executor/holding.ts`: only while the stage is ours. Says whether it was. */
  async #report(life: Life, id: StageId, token: number, event: (stage: Stage) => StageEvent): Promise<boolean> {
    for (;;) {
      await this.#scheduler.turn(life);
      const { stage, seq } = this.#read(id);
      if (!holds(stage, token)) return false;
      await this.#scheduler.turn(life);
      if (this.#append(id, event(stage), seq) !== null) return true;
    }
  }

  /** As `executor/plan.ts`: of a ref, what its branch is at; with what that contains. */
  async #makePlan(life: Life, id: StageId, of: Push, token: number): Promise<void> {
    const commits = this.#commits(id.repository);
    const commit = of.commit ?? commits.at(-1) ?? commitOf(id.number);
    const ancestors = commits.slice(0, commits.indexOf(commit)).toReversed().map(shortOf);
    const at = { ...source(id.number), commit };
    const planned: StageResult["planned"] = this.#random.chance(0.05)
      ? { kind: "skip", source: at, reason: "[skip ci]" }
      : { kind: "plan", source: at, plan: this.#plan(id.repository), history: { ...NO_HISTORY, ancestors } };
    await this.#conclude(life, id, token, { ...bareResult("passed", ""), planned }, false);
  }

  async #runStage(life: Life, command: Command, token: number): Promise<void> {
    const { work } = command;
    const started = await this.#report(life, command, token, () => ({
      type: "started",
      ...this.#store.head(),
      weak: [],
    }));
    if (!started || work.kind !== "stage") return;
    const went = this.#random.chance(0.5);
    this.scripts.push({ id: command, token, environment: work.stage.environment, went });
    await this.#scheduler.turn(life);
    await this.#conclude(life, command, token, this.#resultOf(command, work), true);
  }

  /** As `executor/check.ts`: looks at the world, and is told to be unsure at times. */
  async #check(life: Life, command: Command, token: number): Promise<void> {
    const head = (): { readonly id: string; readonly atMs: number } => this.#store.head();
    if (!(await this.#report(life, command, token, () => ({ type: "started", ...head(), weak: [] })))) return;
    await this.#scheduler.turn(life);
    const name = formatStage(command);
    const went = this.scripts.some((one) => formatStage(one.id) === name && one.went);
    if (this.#random.chance(this.#trouble.attemptErrors)) {
      const result = bareResult("unknown", "it cannot tell");
      await this.#report(life, command, token, () => ({ type: "finished", ...head(), result }));
    } else if (went) {
      const result = bareResult("passed", "it went");
      await this.#report(life, command, token, () => ({ type: "finished", ...head(), result }));
    } else {
      const because = { code: "TOR_CHECK_DENIES", message: "it did not go", acted: false, retryable: true };
      await this.#report(life, command, token, () => ({ type: "attemptErrored", ...head(), ...because }));
    }
  }

  async #conclude(life: Life, id: StageId, token: number, result: StageResult, acted: boolean): Promise<void> {
    const head = (): { readonly id: string; readonly atMs: number } => this.#store.head();
    if (this.#random.chance(this.#trouble.attemptErrors)) {
      const retryable = this.#random.chance(0.8);
      const because = { code: "TOR_SANDBOX_SETUP", message: "no workspace", acted, retryable };
      await this.#report(life, id, token, () => ({ type: "attemptErrored", ...head(), ...because }));
      return;
    }
    await this.#report(life, id, token, (stage) => {
      const { cancel } = stage;
      return { type: "finished", ...head(), result: cancel === null ? result : bareResult("cancelled", cancel.why) };
    });
  }

  #resultOf(id: StageId, work: Extract<Work, { kind: "stage" }>): StageResult {
    const outcome: StageOutcome = this.#random.chance(this.#trouble.scriptFails) ? "failed" : "passed";
    const result = bareResult(outcome, "");
    if (outcome !== "passed") return result;
    const isBuild = work.stage.environment === null;
    return {
      ...result,
      outputs: { RAN: formatStage(id) },
      artifact: isBuild ? ARTIFACT : null,
      requests: this.#random.chance(0.3) ? [this.#request(work)] : [],
    };
  }

  #request(work: Extract<Work, { kind: "stage" }>): QueueRequest {
    const { environments } = work.context;
    if (environments.length > 0 && this.#random.chance(0.7)) {
      return { kind: "environment", environment: this.#random.pick(environments), params: {} };
    }
    const repository = this.#random.pick(["acme/web", "acme/nowhere", "other/web"]);
    return { kind: "repository", repository, ref: "refs/heads/main", params: {} };
  }
}
