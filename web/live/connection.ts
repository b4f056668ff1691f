/**
 * The one event stream of this tab, and what it has told. It is open only while the tab is visible: a browser gives a
 * host six connections, and people have more tabs than that. Who comes back, or lost the stream, loads anew.
 */
import type { BuildSummary, EnvironmentSummary } from "../../protocol/summary.ts";
import { makeStore } from "./store.ts";
import { EMPTY_WORLD, type World, withBuild, withEnvironment } from "./world.ts";

export const world = makeStore<World>(EMPTY_WORLD);
export const link = makeStore<"connecting" | "live" | "lost">("connecting");
/** Grows when what is on the page may be out of date. */
export const epoch = makeStore(0);

/** Environments that events told of; they are newer than an answer that was asked for before. */
const toldAt = new Map<string, number>();
let told = 0;

export function connect(): void {
  let source: EventSource | null = null;
  let opened = false;
  const open = (): void => {
    source = new EventSource("/api/v1/events");
    source.addEventListener("open", () => {
      if (opened) reload();
      opened = true;
      link.set("live");
    });
    source.addEventListener("error", () => link.set("lost"));
    source.addEventListener("resync", reload);
    source.addEventListener("build", (event) => learnBuild(JSON.parse(event.data)));
    source.addEventListener("environment", (event) => learnEnvironment(JSON.parse(event.data)));
  };
  const follow = (): void => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (source === null || source.readyState === EventSource.CLOSED) {
      open();
    }
  };
  document.addEventListener("visibilitychange", follow);
  // A stream that ended with an error answer is not opened again by the browser.
  setInterval(follow, 3_000);
  follow();
}

export function learnBuild(build: BuildSummary): void {
  world.set(withBuild(world.get(), build));
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

function reload(): void {
  epoch.set(epoch.get() + 1);
}
