import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";

interface Props {
  readonly title: ComponentChildren;
  readonly opens?: boolean;
  /** Made, and so loaded, when it is opened. */
  readonly content: () => JSX.Element;
}

/** What is there for who asks for it. */
export function Disclosure({ title, opens = false, content }: Props): JSX.Element {
  const [open, setOpen] = useState(opens);
  return (
    <details class="disclosure" open={open} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{title}</summary>
      {open && content()}
    </details>
  );
}
