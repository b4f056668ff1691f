import type { ComponentChildren, JSX } from "preact";
import { useState } from "preact/hooks";

interface ButtonProps {
  /** What it is called to who does not see where it stands. */
  readonly label: string;
  readonly children: ComponentChildren;
  readonly primary?: boolean;
  /** Why it may not be done, for who points at it or hears it; null: it may. */
  readonly whyNot?: string | null;
}

/** What may not be done is there all the same, and says why. */
export function ActButton({
  label,
  children,
  primary = false,
  whyNot = null,
  ask,
}: ButtonProps & { readonly ask: () => void }): JSX.Element {
  return (
    <button
      type="button"
      class={primary ? "primary" : undefined}
      onClick={() => whyNot === null && ask()}
      aria-label={label}
      aria-haspopup="dialog"
      aria-disabled={whyNot === null ? undefined : true}
      aria-description={whyNot ?? undefined}
      title={whyNot ?? undefined}
    >
      {children}
    </button>
  );
}

interface Props extends ButtonProps {
  /** What it asks before it does anything. */
  readonly dialog: (close: () => void) => JSX.Element;
}

/** A button that asks in a dialog. */
export function Act({ dialog, ...button }: Props): JSX.Element {
  const [asking, setAsking] = useState(false);
  return (
    <>
      <ActButton {...button} ask={() => setAsking(true)} />
      {asking && dialog(() => setAsking(false))}
    </>
  );
}
