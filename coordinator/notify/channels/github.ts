/**
 * What GitHub shows of a commit: statuses with a token, checks as an app, and for both one deployment for each round of
 * an environment. What was made there is found again by its id, or by a name of ours when a coordinator died before it
 * could write that down.
 */
import type { Delivery } from "../../../protocol/delivery.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import type { GithubSettings } from "../settings.ts";
import type { Answer } from "../transitions.ts";
import { facts, headline, pageOf } from "../words.ts";
import type { Send } from "./channel.ts";
import { type Call, failureOf, makeGithub, type Repository } from "./github/api.ts";
import { contextOf, descriptionOf, rowOf } from "./github/states.ts";

const PAGE_MOST = 100;
const TASK = "deploy";

export function githubChannel(settings: GithubSettings, publicUrl: string | null, userAgent: string): Send {
  const github = makeGithub(settings, userAgent);
  return async (delivery, lane, signal) => {
    const { notice } = delivery;
    try {
      if (notice.kind === "test") {
        await github.greet(signal);
        return { kind: "delivered", status: 200, message: "GitHub knows us" };
      }
      const [owner = "", repo = ""] = notice.repository.split("/");
      const at = { owner, repo };
      const call = await github.open(at, signal);
      const page = pageOf(notice, publicUrl);
      if (notice.kind === "deployment") return await deploy(call, at, delivery, lane, page);
      if (settings.auth.kind === "app") return await check(call, at, delivery, lane, page);
      return await status(call, at, delivery, page);
    } catch (error) {
      return failureOf(error, Date.now());
    }
  };
}

async function status(call: Call, at: Repository, { notice }: Delivery, page: string | null): Promise<Answer> {
  const { status: code } = await call("POST /repos/{owner}/{repo}/statuses/{sha}", {
    ...at,
    sha: commitOf(notice.commit),
    state: rowOf(notice).status,
    context: contextOf(notice),
    description: descriptionOf(notice),
    ...(page === null ? {} : { target_url: page }),
  });
  return { kind: "delivered", status: code, message: `answered ${code}` };
}

async function check(
  call: Call,
  at: Repository,
  delivery: Delivery,
  lane: readonly Delivery[],
  page: string | null,
): Promise<Answer> {
  const { notice } = delivery;
  const { conclusion } = rowOf(notice);
  const externalId = nameOf(delivery);
  const said = {
    name: contextOf(notice),
    external_id: externalId,
    ...(page === null ? {} : { details_url: page }),
    output: { title: descriptionOf(notice), summary: summaryOf(delivery) },
  };
  const progress =
    conclusion === null
      ? { status: notice.state === "running" ? ("in_progress" as const) : ("queued" as const) }
      : { status: "completed" as const, conclusion, completed_at: new Date(notice.atMs).toISOString() };
  const known = madeBefore(delivery, lane) ?? (await lostCheck(call, at, delivery, lane, externalId));
  if (known !== null) {
    const path = "PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}";
    const { status: code } = await call(path, { ...at, check_run_id: Number(known), ...said, ...progress });
    return { kind: "delivered", status: code, message: `answered ${code}`, remoteId: known };
  }
  const { status: code, data } = await call("POST /repos/{owner}/{repo}/check-runs", {
    ...at,
    head_sha: commitOf(notice.commit),
    ...said,
    ...progress,
  });
  return { kind: "delivered", status: code, message: `answered ${code}`, remoteId: String(data.id) };
}

async function deploy(
  call: Call,
  at: Repository,
  delivery: Delivery,
  lane: readonly Delivery[],
  page: string | null,
): Promise<Answer> {
  const { notice } = delivery;
  const environment = notice.environment ?? "";
  const remoteId =
    madeBefore(delivery, lane) ??
    (await lostDeployment(call, at, delivery, lane)) ??
    (await newDeployment(call, at, delivery));
  try {
    const { status: code } = await call("POST /repos/{owner}/{repo}/deployments/{deployment_id}/statuses", {
      ...at,
      deployment_id: Number(remoteId),
      state: rowOf(notice).deployment,
      environment,
      description: descriptionOf(notice),
      ...(page === null ? {} : { log_url: page }),
    });
    return { kind: "delivered", status: code, message: `answered ${code}`, remoteId };
  } catch (error) {
    const failure = failureOf(error, Date.now());
    return failure.kind === "retry" ? { ...failure, remoteId } : failure;
  }
}

async function newDeployment(call: Call, at: Repository, delivery: Delivery): Promise<string> {
  const { notice } = delivery;
  const { data } = await call("POST /repos/{owner}/{repo}/deployments", {
    ...at,
    ref: commitOf(notice.commit),
    task: TASK,
    environment: notice.environment ?? "",
    description: `#${notice.number ?? 0}`,
    payload: { toroid: nameOf(delivery) },
    // What may go where is decided already: nothing is to be merged first, and no check asked for.
    auto_merge: false,
    required_contexts: [],
  });
  if ("id" in data) return String(data.id);
  throw new ToroidError("TOR_SERVER_UNREACHABLE", "GitHub made no deployment");
}

/** Our own name for what is made there: the same for all that is said of one round. */
function nameOf({ notice, order }: Delivery): string {
  const { repository, stage, environment } = notice;
  return `${repository}#${order[0] ?? 0} ${environment ?? stage ?? ""} ${order[1] ?? 0}`;
}

/** The id of what an earlier delivery of the same round made there. */
function madeBefore(delivery: Delivery, lane: readonly Delivery[]): string | null {
  return siblings(delivery, lane).find(({ remoteId }) => remoteId !== null)?.remoteId ?? null;
}

function siblings(delivery: Delivery, lane: readonly Delivery[]): readonly Delivery[] {
  const name = nameOf(delivery);
  return [delivery, ...lane].filter((one) => nameOf(one) === name);
}

/** May something have been made of which nobody wrote down the id? */
function isUncertain(delivery: Delivery, lane: readonly Delivery[]): boolean {
  const tries = (one: Delivery): number => (one.id === delivery.id ? one.tried - 1 : one.tried);
  return siblings(delivery, lane).some((one) => tries(one) > 0);
}

async function lostCheck(
  call: Call,
  at: Repository,
  delivery: Delivery,
  lane: readonly Delivery[],
  externalId: string,
): Promise<string | null> {
  if (!isUncertain(delivery, lane)) return null;
  const { notice } = delivery;
  const { data } = await call("GET /repos/{owner}/{repo}/commits/{ref}/check-runs", {
    ...at,
    ref: commitOf(notice.commit),
    check_name: contextOf(notice),
    filter: "all",
    per_page: PAGE_MOST,
  });
  const found = data.check_runs.find(({ external_id }) => external_id === externalId);
  return found === undefined ? null : String(found.id);
}

async function lostDeployment(
  call: Call,
  at: Repository,
  delivery: Delivery,
  lane: readonly Delivery[],
): Promise<string | null> {
  if (!isUncertain(delivery, lane)) return null;
  const { notice } = delivery;
  const { data } = await call("GET /repos/{owner}/{repo}/deployments", {
    ...at,
    sha: commitOf(notice.commit),
    task: TASK,
    environment: notice.environment ?? "",
    per_page: PAGE_MOST,
  });
  const found = data.find(({ payload }) => isNamed(payload, nameOf(delivery)));
  return found === undefined ? null : String(found.id);
}

function isNamed(payload: unknown, name: string): boolean {
  return typeof payload === "object" && payload !== null && "toroid" in payload && payload.toroid === name;
}

/** Foreign text stands in a block of its own, so that it makes neither links nor images. */
function summaryOf({ notice }: Delivery): string {
  const text = [headline(notice), ...facts(notice).map(([label, fact]) => `${label}: ${fact}`)].join("\n");
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}\n${text}\n${fence}`;
}

function commitOf(commit: string | null): string {
  if (commit === null) throw new ToroidError("TOR_INTERNAL", "a notice for a forge is of no commit");
  return commit;
}
