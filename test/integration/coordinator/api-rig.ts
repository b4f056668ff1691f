/** A coordinator with its HTTP API, and builds in it whose stages the test runs itself. */
import assert from "node:assert/strict";
import { makeMailboxes } from "../../../coordinator/mailboxes.ts";
import { PLAN_STAGE } from "../../../protocol/ids.ts";
import type { StagePlan } from "../../../protocol/pipeline/plan.ts";
import { buildSummary } from "../../../protocol/summary.ts";
import { NO_HISTORY, shortOf } from "../../../protocol/work.ts";
import { until } from "../../support/until.ts";
import { commitOf, planWith, push, REPOSITORY, source, stagePlan, target } from "../../unit/coordinator/samples.ts";
import { quiet, runStage, startCoordinator, startRig } from "./rig.ts";

export const BUILDS = "/api/v1/builds";

export async function startApi(variables: Record<string, string> = {}) {
  await using undo = new AsyncDisposableStack();
  const rig = undo.use(await startRig());
  const coordinator = undo.use(await startCoordinator(rig.server.url, variables));
  const { url } = coordinator;
  const kept = undo.move();
  const stopCoordinator = async (): Promise<void> => coordinator[Symbol.asyncDispose]();
  const get = (path: string, headers: Record<string, string> = {}) => fetch(url + path, { headers });
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  const actors = makeMailboxes(rig.jet, quiet);
  return { ...rig, url, actors, get, post, stopCoordinator, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

export type Api = Awaited<ReturnType<typeof startApi>>;

/** A build of the environments `prod` or others, with its plan, and a summary of it that the API shows. */
export async function startBuild(
  { actors, jet, get }: Api,
  environments: readonly StagePlan[] = [target("prod", ["build"])],
  number = 1,
  of: { readonly commit: number; readonly on: readonly number[] } = { commit: number, on: [] },
  build: StagePlan = stagePlan("build"),
): Promise<void> {
  const id = { repository: REPOSITORY, number };
  const commit = commitOf(of.commit);
  const history = { ...NO_HISTORY, ancestors: of.on.map((one) => shortOf(commitOf(one))) };
  await actors.repository.tell(REPOSITORY, { kind: "accept", key: `k${number}`, push: push({ commit }), by: "queue" });
  const plan = planWith(build, ...environments);
  const planned = { kind: "plan", source: source(of.commit), plan, history } as const;
  await runStage(jet, actors, { ...id, stage: PLAN_STAGE, round: 1 }, { planned });
  await until("the plan to be shown", async () => {
    const shown = buildSummary.parse(await (await get(`${BUILDS}/${REPOSITORY}/${number}`)).json());
    return shown.status === "running" && shown.stages.some(({ status }) => status === "queued");
  });
}

/** Status, code and sentence of an answer that is an error. */
export async function refusal(answer: Response): Promise<string> {
  const body: unknown = await answer.json();
  assert.ok(typeof body === "object" && body !== null && "code" in body && "message" in body && "docs" in body);
  return `${answer.status} ${String(body.code)}: ${String(body.message)}`;
}
