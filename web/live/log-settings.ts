/** How a person likes logs, kept in this browser. Only a memory: without it everything works. */
import { TIME_WAYS, type TimeWay } from "../parts/log-times.ts";
import { makeStore, type Store } from "./store.ts";

const TIMES = "toroid.log.times";
const WRAP = "toroid.log.wrap";
const FOLDS = "toroid.log.folds";
/** The folds of so many phases are remembered, the last ones used. */
const MOST_FOLDS = 200;

export const times: Store<TimeWay> = makeStore(TIME_WAYS.find((way) => way === read(TIMES)) ?? "none");
export const wrap: Store<boolean> = makeStore(read(WRAP) === "1");
/** Names of phases that are folded: repository, stage and phase, so that the next build of them is as this one was. */
export const folds: Store<ReadonlySet<string>> = makeStore(new Set(read(FOLDS).split("\n").filter(Boolean)));

export function setTimes(way: TimeWay): void {
  times.set(way);
  write(TIMES, way);
}

export function setWrap(on: boolean): void {
  wrap.set(on);
  write(WRAP, on ? "1" : "0");
}

export function setFold(name: string, isFolded: boolean): void {
  const others = [...folds.get()].filter((one) => one !== name);
  const now = isFolded ? [...others, name].slice(-MOST_FOLDS) : others;
  folds.set(new Set(now));
  write(FOLDS, now.join("\n"));
}

/** Browsers may be told to keep nothing. */
function read(key: string): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // It holds until the page is left.
  }
}
