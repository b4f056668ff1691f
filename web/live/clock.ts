import { makeStore, useStore } from "./store.ts";

const seconds = makeStore(Date.now());
setInterval(() => {
  if (!document.hidden) seconds.set(Date.now());
}, 1_000);

/** The time, once a second. */
export function useNow(): number {
  return useStore(seconds);
}
