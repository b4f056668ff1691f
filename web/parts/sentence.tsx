import type { JSX } from "preact";

/** What the coordinator says in words; what it has in back quotes, people may want to copy. */
export function Sentence({ text }: { readonly text: string }): JSX.Element {
  // Every second part was in quotes, since the pattern has a group.
  const parts = text.split(/`([^`]+)`/);
  return <>{parts.map((part, at) => (at % 2 === 1 ? <code key={part}>{part}</code> : part))}</>;
}
