import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { actOf, JUMPS, type KeyAct } from "../live/keys.ts";
import { navigate } from "../live/location.ts";

/** In the storage of the browser: `off` when they are. */
const OFF = "toroid.keys";
/** Within this time two keys are one. */
const TOGETHER_MS = 1_500;

/** The keys that work everywhere, and the dialog that tells of them; they can be switched off there. */
export function Keys(): JSX.Element {
  const [asked, setAsked] = useState(false);
  useEffect(() => {
    let last = { key: "", atMs: 0 };
    const press = (event: KeyboardEvent): void => {
      const { key, ctrlKey, metaKey, altKey } = event;
      if (ctrlKey || metaKey || altKey || event.defaultPrevented || isBusy(event.target)) return;
      const atMs = performance.now();
      const act = actOf(key, atMs - last.atMs < TOGETHER_MS ? last.key : null);
      last = { key, atMs };
      // The one that is there to be found when all others are off.
      if (act === null || (!areOn() && act.kind !== "help")) return;
      event.preventDefault();
      if (act.kind === "help") setAsked(true);
      else perform(act);
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  return (
    <>
      <button type="button" class="quiet" aria-label="Keys" aria-haspopup="dialog" onClick={() => setAsked(true)}>
        ?
      </button>
      {asked && <Help close={() => setAsked(false)} />}
    </>
  );
}

function areOn(): boolean {
  return localStorage.getItem(OFF) !== "off";
}

function Help({ close }: { readonly close: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="keys-title">
      <h2 id="keys-title">Keys</h2>
      <dl class="keys">
        <Key keys={["?"]} does="this help" />
        {Object.entries(JUMPS).map(([key, [, name]]) => (
          <Key keys={["g", key]} does={name} key={key} />
        ))}
        <Key keys={["j"]} does="next in the list" />
        <Key keys={["k"]} does="the one before" />
        <Key keys={["Enter"]} does="open it" />
        <Key keys={["/"]} does="to the filter" />
        <Key keys={["Esc"]} does="close what is open" />
      </dl>
      <h3>On a log</h3>
      <dl class="keys">
        <Key keys={["/"]} does="to the search" />
        <Key keys={["n", "N"]} does="next and previous line found" />
        <Key keys={["e", "E"]} does="next and previous error" />
        <Key keys={["t"]} does="times" />
        <Key keys={["w"]} does="wrap long lines" />
        <Key keys={["f"]} does="to the end, and follow" />
      </dl>
      <label class="check">
        <input
          type="checkbox"
          checked={areOn()}
          onChange={(event) => localStorage.setItem(OFF, event.currentTarget.checked ? "on" : "off")}
        />
        Single keys do something
      </label>
      <form method="dialog" class="buttons">
        <button type="submit" autofocus>
          Close
        </button>
      </form>
    </dialog>
  );
}

function Key({ keys, does }: { readonly keys: readonly string[]; readonly does: string }): JSX.Element {
  return (
    <div>
      <dt>
        {keys.map((key) => (
          <kbd key={key}>{key}</kbd>
        ))}
      </dt>
      <dd>{does}</dd>
    </div>
  );
}

/** Who types means the text; a dialog has the page to itself. */
function isBusy(target: EventTarget | null): boolean {
  if (document.querySelector("dialog[open]") !== null) return true;
  return target instanceof HTMLElement && target.closest("input, select, textarea, [contenteditable]") !== null;
}

function perform(act: Exclude<KeyAct, { kind: "help" }>): void {
  switch (act.kind) {
    case "go":
      return navigate(act.to);
    case "filter":
      return document.querySelector<HTMLInputElement>("[data-filter]")?.focus();
    case "step": {
      const all = [...document.querySelectorAll<HTMLElement>("main .name")];
      const at = all.findIndex((one) => one === document.activeElement);
      const next = at === -1 ? (act.by === 1 ? 0 : all.length - 1) : at + act.by;
      all[next]?.focus();
      all[next]?.scrollIntoView({ block: "nearest" });
    }
  }
}
