import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { EnvironmentSummary } from "../../protocol/summary.ts";
import { pauseEnvironment, resumeEnvironment } from "../live/api.ts";
import { learnEnvironment } from "../live/connection.ts";
import { ReasonDialog } from "./reason-dialog.tsx";

const HOUR_MS = 3_600_000;
const UNTIL: readonly (readonly [string, number])[] = [
  ["until somebody resumes it", 0],
  ["for an hour", HOUR_MS],
  ["for 4 hours", 4 * HOUR_MS],
  ["for a day", 24 * HOUR_MS],
  ["for a week", 7 * 24 * HOUR_MS],
];

/** Pauses an environment, or lets it go on. */
export function PauseButton({ environment }: { readonly environment: EnvironmentSummary }): JSX.Element {
  const [asking, setAsking] = useState<"pause" | "resume" | null>(null);
  // A pause of more than this environment is not this one's to end.
  const paused = environment.paused !== null && environment.paused.of === null;
  const name = `${environment.repository} ${environment.environment}`;
  const close = (): void => setAsking(null);
  return (
    <>
      <button
        type="button"
        onClick={() => setAsking(paused ? "resume" : "pause")}
        aria-label={`${paused ? "Resume" : "Pause"} ${name}`}
        aria-haspopup="dialog"
      >
        {paused ? "Resume…" : "Pause…"}
      </button>
      {asking === "pause" && <PauseDialog environment={environment} name={name} close={close} />}
      {asking === "resume" && (
        <ReasonDialog
          title={`Resume ${name}?`}
          explains="What waits there starts at once."
          action="Resume"
          required={false}
          submit={async (reason) => learnEnvironment(await resumeEnvironment(environment, reason))}
          close={close}
        />
      )}
    </>
  );
}

interface PauseProps {
  readonly environment: EnvironmentSummary;
  readonly name: string;
  readonly close: () => void;
}

function PauseDialog({ environment, name, close }: PauseProps): JSX.Element {
  const submit = async (reason: string, form: FormData): Promise<void> => {
    const forMs = Number(form.get("for"));
    const until = forMs === 0 ? {} : { until: new Date(Date.now() + forMs).toISOString() };
    learnEnvironment(await pauseEnvironment(environment, { reason, ...until }));
  };
  return (
    <ReasonDialog
      title={`Pause ${name}?`}
      explains="What runs there finishes. What comes next waits, in its order."
      action="Pause"
      required
      submit={submit}
      close={close}
    >
      <label>
        Pause it{" "}
        <select name="for">
          {UNTIL.map(([text, ms]) => (
            <option value={ms} key={ms}>
              {text}
            </option>
          ))}
        </select>
      </label>
    </ReasonDialog>
  );
}
