import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { ApiError } from "../live/api.ts";
import { asApiError } from "../live/load.ts";
import { Failure } from "./failure.tsx";

interface Props {
  readonly title: string;
  /** What will happen, for whoever hesitates. */
  readonly explains: string;
  readonly action: string;
  /** Null: no reason is asked for. */
  readonly required: boolean | null;
  /** More fields. */
  readonly children?: ComponentChildren;
  /** Resolves when it is done; the dialog closes then, and shows the error otherwise. */
  readonly submit: (reason: string, form: FormData) => Promise<void>;
  readonly close: () => void;
}

/** Asks for a reason before something that others will notice. Esc and Cancel leave everything as it is. */
export function ReasonDialog({ title, explains, action, required, children, submit, close }: Props): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);

  const send = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    const reason = form.get("reason");
    submit(typeof reason === "string" ? reason.trim() : "", form).then(
      () => dialog.current?.close(),
      (thrown: unknown) => {
        setBusy(false);
        setError(asApiError(thrown));
      },
    );
  };
  const leave = (): void => {
    close();
    // The browser gives the focus back to the button, unless what was done took that away.
    if (document.activeElement === document.body) document.getElementById("main")?.focus();
  };
  return (
    <dialog ref={dialog} onClose={leave} aria-labelledby={`${id}-title`} aria-describedby={`${id}-about`}>
      <form onSubmit={send}>
        <h2 id={`${id}-title`}>{title}</h2>
        <p class="explains" id={`${id}-about`}>
          {explains}
        </p>
        {children}
        {required !== null && <Reason id={`${id}-reason`} required={required} />}
        {error !== null && <Failure error={error} />}
        <div class="buttons">
          <button type="button" onClick={() => dialog.current?.close()}>
            Go back
          </button>
          <button type="submit" class="primary" disabled={busy}>
            {action}
          </button>
        </div>
      </form>
    </dialog>
  );
}

function Reason({ id, required }: { readonly id: string; readonly required: boolean }): JSX.Element {
  return (
    <>
      <label for={id}>{required ? "Reason" : "Reason (optional)"}</label>
      {/* A space alone is no reason. */}
      <input
        id={id}
        name="reason"
        type="text"
        autofocus
        required={required}
        pattern={required ? ".*\\S.*" : undefined}
        maxLength={500}
        autocomplete="off"
      />
    </>
  );
}
