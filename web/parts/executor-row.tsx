import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Presence } from "../../protocol/commands.ts";
import { drainExecutor, undrainExecutor } from "../live/executors.ts";
import { hrefOf } from "../live/location.ts";
import { useWhyNot } from "../live/me.ts";
import { ActButton } from "./act.tsx";
import { Link } from "./link.tsx";
import { ReasonDialog } from "./reason-dialog.tsx";
import { lookOfWord, State } from "./state.tsx";
import { Ago } from "./time.tsx";

/** What an executor has to do, and why it takes nothing new if it does not. */
export function ExecutorRow({ executor: e }: { readonly executor: Presence }): JSX.Element {
  const word = e.draining ? (e.busy > 0 ? "draining" : "drained") : e.busy > 0 ? "running" : "open";
  return (
    <li class="executor">
      <State look={lookOfWord(word)} />
      <div class="facts">
        <h2 class="name" tabIndex={-1}>
          {e.id}
        </h2>
        <p>
          <meter min={0} max={Math.max(1, e.slots)} value={e.busy} aria-hidden="true" /> {e.busy} of {e.slots} slots
          busy, pool <b>{e.pool}</b>
          {e.labels.length > 0 && ", labels "}
          {e.labels.map((label) => (
            <code class="label" key={label}>
              {label}
            </code>
          ))}
        </p>
        {e.runs.length > 0 && (
          <p>
            Runs{" "}
            {e.runs.map((stage) => (
              <Run stage={stage} key={stage} />
            ))}
          </p>
        )}
        <p class="when">
          On {e.host}, Toroid {e.version} (protocol {e.protocol}), up since <Ago atMs={e.sinceMs} />
        </p>
        {e.draining && (
          <p class="paused">
            Takes nothing new: <q>{e.why}</q>
          </p>
        )}
      </div>
      <div class="acts">
        <DrainButton e={e} />
      </div>
    </li>
  );
}

/** `acme/api#42 build`, leading to where it is shown. */
function Run({ stage }: { readonly stage: string }): JSX.Element {
  const [, repository, number, name] = /^(.+)#([0-9]+) (.+?)(?: \([0-9]+\))?$/.exec(stage) ?? [];
  if (repository === undefined || name === undefined) return <span class="run">{stage}</span>;
  const id = { repository, number: Number(number) };
  return (
    <Link class="run" to={hrefOf({ page: "build", id, stage: null })}>
      {stage}
    </Link>
  );
}

/** What is asked stays asked, whatever others do to it meanwhile. */
function DrainButton({ e }: { readonly e: Presence }): JSX.Element {
  const whyNot = useWhyNot("admin", null);
  const [asking, setAsking] = useState<"drain" | "undrain" | null>(null);
  const close = (): void => setAsking(null);
  return (
    <>
      <ActButton
        label={`${e.draining ? "Take back" : "Drain"} ${e.id}`}
        whyNot={whyNot}
        ask={() => setAsking(e.draining ? "undrain" : "drain")}
      >
        {e.draining ? "Take back…" : "Drain…"}
      </ActButton>
      {asking === "drain" && (
        <ReasonDialog
          title={`Drain ${e.id}?`}
          explains="It takes nothing new, and finishes what it runs. That stays so when it is started again."
          action="Drain"
          required
          submit={(reason) => drainExecutor(e, reason)}
          close={close}
        />
      )}
      {asking === "undrain" && (
        <ReasonDialog
          title={`Take back ${e.id}?`}
          explains="It takes new work again, as soon as it hears of it."
          action="Take back"
          required={false}
          submit={(reason) => undrainExecutor(e, reason)}
          close={close}
        />
      )}
    </>
  );
}
