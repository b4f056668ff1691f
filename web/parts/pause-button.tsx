import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { EnvironmentSummary } from "../../protocol/summary.ts";
import { learnEnvironment } from "../live/connection.ts";
import { pauseEnvironment, resumeEnvironment } from "../live/environments.ts";
import { ActButton } from "./act.tsx";
import { ReasonDialog } from "./reason-dialog.tsx";

const HOUR_MS = 3_600_000;
const FOREVER = "0";
const AT = "at";
const UNTIL: readonly (readonly [string, string])[] = [
  ["until somebody resumes it", FOREVER],
  ["for an hour", String(HOUR_MS)],
  ["for 4 hours", String(4 * HOUR_MS)],
  ["for a day", String(24 * HOUR_MS)],
  ["for a week", String(7 * 24 * HOUR_MS)],
  ["until a time of your choice", AT],
];

interface Props {
  readonly environment: EnvironmentSummary;
  readonly whyNot: string | null;
}

/** Pauses an environment, or lets it go on. What is asked stays asked, whatever others do to it meanwhile. */
export function PauseButton({ environment, whyNot }: Props): JSX.Element {
  const [asking, setAsking] = useState<"pause" | "resume" | null>(null);
  // A pause of more than this environment is not this one's to end.
  const paused = environment.paused !== null && environment.paused.of === null;
  const name = `${environment.repository} ${environment.environment}`;
  const close = (): void => setAsking(null);
  return (
    <>
      <ActButton
        label={`${paused ? "Resume" : "Pause"} ${name}`}
        whyNot={whyNot}
        primary={paused}
        ask={() => setAsking(paused ? "resume" : "pause")}
      >
        {paused ? "Resume…" : "Pause…"}
      </ActButton>
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
  const [how, setHow] = useState(FOREVER);
  const [at, setAt] = useState("");
  const submit = async (reason: string): Promise<void> => {
    const untilMs = how === AT ? Date.parse(at) : Date.now() + Number(how);
    const until = how === FOREVER ? {} : { until: new Date(untilMs).toISOString() };
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
        Pause it
        <select value={how} onChange={(event) => setHow(event.currentTarget.value)}>
          {UNTIL.map(([text, value]) => (
            <option value={value} key={value}>
              {text}
            </option>
          ))}
        </select>
      </label>
      {how === AT && (
        <label>
          Until, by your clock
          <input type="datetime-local" required value={at} onInput={(event) => setAt(event.currentTarget.value)} />
        </label>
      )}
    </ReasonDialog>
  );
}
