/** Makes happen what the plan says, to whom it says. */
import { setTimeout as sleep } from "node:timers/promises";
import { holds } from "../../../protocol/stage.ts";
import { until } from "../../support/until.ts";
import type { Fleet } from "./fleet.ts";
import type { Member } from "./member.ts";
import { type Mishap, mishapText } from "./plan.ts";

/** What is stored by compare-and-set, as it goes over the wire. */
const APPEND = /^HPUB toroid\.(run|lane|push|timer)\./m;

export class Mishaps {
  readonly #fleet: Fleet;
  readonly #busy = new Set<string>();
  readonly #running = new Set<Promise<void>>();

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  /** Begins it; what lasts goes on by itself. One that befalls somebody who is in trouble already is left out. */
  begin(mishap: Mishap): void {
    const member = "whom" in mishap ? this.#fleet.member(mishap.whom) : null;
    const whom = member?.name ?? mishap.kind;
    if (this.#busy.has(whom)) return this.#fleet.note(`left out: ${mishapText(mishap)}`);
    this.#fleet.note(mishapText(mishap));
    this.#busy.add(whom);
    const task: Promise<void> = this.#happen(mishap, member)
      .catch((error: unknown) => this.#fleet.note(`could not be: ${mishapText(mishap)}: ${String(error)}`))
      .finally(() => {
        this.#busy.delete(whom);
        this.#running.delete(task);
      });
    this.#running.add(task);
  }

  /** Resolves when nothing goes on any more; what waits for an occasion waits no more. */
  async over(): Promise<void> {
    this.#fleet.world.forget();
    await Promise.all(this.#running);
  }

  async #happen(mishap: Mishap, member: Member | null): Promise<void> {
    const { nats, queue, operator } = this.#fleet;
    switch (mishap.kind) {
      case "kill":
        member?.kill(mishap.forMs);
        return sleep(mishap.forMs);
      case "crash":
        return member?.crashAt(mishap.point, mishap.nth);
      case "leave":
        return member?.replace();
      case "stop":
        return member?.stop(() => sleep(mishap.forMs), mishap.alone);
      case "cut":
        for (const link of member?.links ?? []) link.cut();
        return undefined;
      case "part": {
        const links = member?.links ?? [];
        for (const link of links) {
          if (mishap.late) link.hold();
          else link.shut();
        }
        await sleep(mishap.forMs);
        for (const link of links) link.reopen();
        return undefined;
      }
      case "unheard": {
        const isAppend = (sent: Buffer): boolean => APPEND.test(sent.toString("latin1"));
        if (mishap.stored) member?.nats.cutAfter(isAppend);
        else member?.nats.cutBefore(isAppend);
        return undefined;
      }
      case "nats":
        await nats.kill(mishap.how === "kill" ? "SIGKILL" : "SIGSTOP");
        await sleep(mishap.forMs);
        return mishap.how === "kill" ? nats.restart() : nats.kill("SIGCONT");
      case "queue":
        return queue.restart();
      case "zombie":
        return this.#zombie(mishap.forMs);
      case "cancel":
        return operator.cancelNewest(mishap.repository);
      case "pause":
        return operator.pause(mishap.repository, mishap.environment, mishap.forMs);
    }
  }

  /** Stops the host of the next deployment in the middle of it: others take it over, and then it goes on. */
  async #zombie(forMs: number): Promise<void> {
    await this.#fleet.world.onNextBegin(
      () => true,
      async (deed) => {
        const { member, stage } = await this.#fleet.holderOf({ ...deed, round: 1 });
        this.#fleet.note(`zombie: ${deed.repository}#${deed.number} ${deed.stage} at ${member?.name ?? "nobody"}`);
        const isAnothers = async (): Promise<boolean> =>
          !holds((await this.#fleet.holderOf({ ...deed, round: 1 })).stage, stage.token);
        await member?.stop(async () => {
          await sleep(forMs);
          await until("others to take it over", isAnothers, { withinMs: 60_000, everyMs: 200 });
        }, false);
      },
    );
  }
}
