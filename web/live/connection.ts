/**
 * What the coordinator's stream of events tells, in every tab. One tab has the stream and passes on what it hears.
 * Whoever may have missed something loads anew.
 */
import type { Presence } from "../../protocol/commands.ts";
import type { BuildSummary, EnvironmentSummary } from "../../protocol/summary.ts";
import { joinTeam } from "./one-tab.ts";
import { makeStore } from "./store.ts";
import { EMPTY_WORLD, type World, withBuild, withEnvironment } from "./world.ts";

export type LinkStatus = "connecting" | "live" | "lost";

export const world = makeStore<World>(EMPTY_WORLD);
export const link = makeStore<LinkStatus>("connecting");
/** By id; null: not asked for yet. */
export const executors = makeStore<ReadonlyMap<string, Presence> | null>(null);
/** Grows with each change of a dead letter. */
export const letterChanges = makeStore(0);
/** Grows when what is on the page may be out of date. */
export const epoch = makeStore(0);

/** What the leading tab tells the others. */
type News =
  | { readonly kind: "build"; readonly build: BuildSummary }
  | { readonly kind: "environment"; readonly environment: EnvironmentSummary }
  | { readonly kind: "executor"; readonly executor: Presence & { readonly gone: boolean } }
  | { readonly kind: "executors"; readonly executors: readonly Presence[] }
  | { readonly kind: "letter" }
  | { readonly kind: "link"; readonly status: LinkStatus }
  | { readonly kind: "resync" };

/** A stream that ended with an error answer is not opened again by the browser. */
const AGAIN_MS = 3_000;

/** Environments that events told of; they are newer than an answer that was asked for before. */
const toldAt = new Map<string, number>();
let told = 0;

export function connect(): void {
  const team = joinTeam<News>("toroid.events", {
    hear,
    greet: () => team.tell({ kind: "link", status: link.get() }),
    lead: () =>
      openStream((news) => {
        hear(news);
        team.tell(news);
      }),
  });
}

function hear(news: News): void {
  switch (news.kind) {
    case "build":
      return learnBuild(news.build);
    case "environment":
      return learnEnvironment(news.environment);
    case "executor":
      return learnExecutor(news.executor);
    case "executors":
      return learnExecutors(news.executors);
    case "letter":
      return letterChanges.set(letterChanges.get() + 1);
    case "link":
      return learnLink(news.status);
    case "resync":
      return epoch.set(epoch.get() + 1);
  }
}

/** Something was answered while nobody listened yet. */
let answeredEarly = false;

/** Whoever loads what the page shows says so when it is there. */
export function noteAnswer(): void {
  if (link.get() === "connecting") answeredEarly = true;
}

function learnLink(status: LinkStatus): void {
  link.set(status);
  if (status !== "live" || !answeredEarly) return;
  // What changed between that answer and now was told to nobody.
  answeredEarly = false;
  epoch.set(epoch.get() + 1);
}

/** Has the stream of events from now on; answers how to stop. */
function openStream(tell: (news: News) => void): () => void {
  // Who leads from now on has not heard what came since the one before it went.
  let missed = link.get() !== "connecting";
  let stream: EventSource | null = null;
  let again = 0;
  const open = (): void => {
    let hasIds = false;
    const source = new EventSource("/api/v1/events");
    stream = source;
    const on = (event: string, take: (data: never) => News): void =>
      source.addEventListener(event, ({ data, lastEventId }: MessageEvent<string>) => {
        hasIds = lastEventId !== "";
        tell(take(JSON.parse(data) as never));
      });
    source.addEventListener("open", () => {
      tell({ kind: "link", status: "live" });
      if (missed) tell({ kind: "resync" });
      missed = false;
    });
    source.addEventListener("error", () => {
      tell({ kind: "link", status: "lost" });
      // With ids the browser says where it was, and hears the rest, or `resync`.
      missed = !hasIds;
      if (source.readyState !== EventSource.CLOSED) return;
      missed = true;
      again = window.setTimeout(open, AGAIN_MS);
    });
    on("resync", () => ({ kind: "resync" }));
    on("build", (build) => ({ kind: "build", build }));
    on("environment", (environment) => ({ kind: "environment", environment }));
    on("executor", (executor) => ({ kind: "executor", executor }));
    on("executors", (all: { readonly executors: readonly Presence[] }) => ({ kind: "executors", ...all }));
    on("deadLetter", () => ({ kind: "letter" }));
  };
  open();
  return () => {
    stream?.close();
    clearTimeout(again);
  };
}

export function learnBuild(build: BuildSummary): void {
  world.set(withBuild(world.get(), build));
}

export function learnExecutors(all: readonly Presence[]): void {
  executors.set(new Map(all.map((one) => [one.id, one])));
}

function learnExecutor({ gone, ...one }: Presence & { readonly gone: boolean }): void {
  const next = new Map(executors.get());
  if (gone) next.delete(one.id);
  else next.set(one.id, one);
  // What is known of one is not all there is.
  if (executors.get() !== null) executors.set(next);
}

export function learnEnvironment(environment: EnvironmentSummary): void {
  told += 1;
  toldAt.set(`${environment.repository} ${environment.environment}`, told);
  world.set(withEnvironment(world.get(), environment));
}

/** Call before asking; gives the function that takes the answer, which never overwrites what came meanwhile. */
export function expectEnvironments(): (environments: readonly EnvironmentSummary[]) => void {
  const asked = told;
  return (environments) => {
    const unheard = environments.filter((e) => (toldAt.get(`${e.repository} ${e.environment}`) ?? 0) <= asked);
    world.set(unheard.reduce(withEnvironment, world.get()));
  };
}
