/** Coordinators that notify servers of the test, and builds whose stages the test ends as it likes. */
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Mailboxes, makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { type DeliverySummary, deliveryPage } from "../../../protocol/delivery.ts";
import type { StageResult } from "../../../protocol/events.ts";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import type { StagePlan, Wish } from "../../../protocol/pipeline/plan.ts";
import type { Push } from "../../../protocol/work.ts";
import { TargetServer } from "../../support/target.ts";
import { tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import { commitOf, planWith, push, REPOSITORY, source, stagePlan } from "../../unit/coordinator/samples.ts";
import { quiet, type Rig, runStage, startCoordinator, startRig } from "./rig.ts";

export const WEBHOOK_SECRET = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
export const PUBLIC_URL = "https://ci.example";

export interface NotifyRig extends Rig {
  readonly target: TargetServer;
  readonly actors: Mailboxes;
  /** Of the coordinator. */
  readonly url: string;
  deliveries(): Promise<readonly DeliverySummary[]>;
  /** Waits until there are so many and nothing is on its way, and answers all. */
  settled(count?: number): Promise<readonly DeliverySummary[]>;
}

/** @param settings made of the address of the target */
export async function startNotifying(settings: (target: string) => object): Promise<NotifyRig> {
  await using undo = new AsyncDisposableStack();
  const rig = undo.use(await startRig());
  const target = undo.use(await TargetServer.start());
  const dir = undo.use(await tempDir());
  const path = await writeSettings(dir.path, settings(target.url));
  const variables = { TOROID_NOTIFY: path, TOROID_PUBLIC_URL: PUBLIC_URL };
  const { url } = undo.use(await startCoordinator(rig.server.url, variables));
  const kept = undo.move();
  const deliveries = (): Promise<readonly DeliverySummary[]> => deliveriesAt(url);
  return {
    ...rig,
    target,
    url,
    actors: makeMailboxes(rig.jet, quiet),
    deliveries,
    settled: (count = 1) =>
      until(
        "all notifications to be over",
        async () => {
          const all = await deliveries();
          return all.length >= count && all.every(({ nextAtMs }) => nextAtMs === null) ? all : null;
        },
        { withinMs: 30_000 },
      ),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

export async function writeSettings(dir: string, settings: object): Promise<string> {
  const path = join(dir, "notify.json");
  await writeFile(path, JSON.stringify(settings));
  await chmod(path, 0o600);
  return path;
}

export async function deliveriesAt(url: string): Promise<readonly DeliverySummary[]> {
  const answer = await fetch(`${url}/api/v1/deliveries?limit=100`);
  return deliveryPage.parse(await answer.json()).deliveries;
}

export interface Wanted {
  readonly stages?: readonly StagePlan[];
  readonly notify?: readonly Wish[];
  readonly push?: Partial<Push>;
}

type Actors = Pick<NotifyRig, "jet" | "actors">;

/** Pushes, and has the push planned. */
export async function begin({ jet, actors }: Actors, number: number, wanted: Wanted = {}): Promise<void> {
  const { stages = [stagePlan("build")], notify = [] } = wanted;
  const commit = commitOf(number);
  const pushed = push({ commit, ...wanted.push });
  await actors.repository.tell(REPOSITORY, { kind: "accept", key: `k${number}`, push: pushed, by: "queue" });
  const planned = {
    kind: "plan" as const,
    source: { ...source(number), author: "Ada <ada@example.com>" },
    plan: { ...planWith(...stages), notify: [...notify] },
  };
  await runStage(jet, actors, { repository: REPOSITORY, number, stage: PLAN_STAGE, round: 1 }, { planned });
}

export async function end(
  { jet, actors }: Actors,
  number: number,
  stage: string,
  result: Partial<StageResult> = {},
  round = 1,
): Promise<void> {
  await runStage(jet, actors, { repository: REPOSITORY, number, stage, round }, result);
}

export const FAILED: Partial<StageResult> = { outcome: "failed", message: "exited with 1" };

/** A whole build of one stage. */
export async function build(
  rig: Actors,
  number: number,
  result: Partial<StageResult> = {},
  wanted: Wanted = {},
): Promise<void> {
  await begin(rig, number, wanted);
  await end(rig, number, "build", result);
}
