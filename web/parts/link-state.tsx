import type { JSX } from "preact";
import { link } from "../live/connection.ts";
import { useStore } from "../live/store.ts";

const WORDS = { connecting: "connecting", live: "live", lost: "connection lost, trying again" } as const;

/** Whether what is shown is what is. */
export function LinkState(): JSX.Element {
  const state = useStore(link);
  return (
    <p class={`link-state link-${state}`} role="status">
      <span class="dot" aria-hidden="true" />
      {WORDS[state]}
    </p>
  );
}
