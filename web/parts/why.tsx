import type { JSX } from "preact";
import { At } from "./time.tsx";

const INSTANT = /\b(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)/;

/** Why something waits; instants in it by the clock of who reads. */
export function Why({ text }: { readonly text: string }): JSX.Element {
  // Every second part is an instant, since the pattern has a group.
  const parts = text.split(INSTANT);
  return (
    <p class="why">{parts.map((part, at) => (at % 2 === 1 ? <At atMs={Date.parse(part)} key={part} /> : part))}</p>
  );
}
