import type { JSX } from "preact";
import type { Presence } from "../../protocol/commands.ts";
import { lookOfWord, State } from "./state.tsx";
import { Ago } from "./time.tsx";

/** What an executor has to do, and why it takes nothing new if it does not. */
export function ExecutorRow({ executor: e }: { readonly executor: Presence }): JSX.Element {
  const word = e.draining ? (e.busy > 0 ? "draining" : "drained") : e.busy > 0 ? "running" : "open";
  return (
    <li class="executor">
      <State look={lookOfWord(word)} />
      <div class="facts">
        <h2>{e.id}</h2>
        <p>
          Pool {e.pool}, {e.busy} of {e.slots} slots busy{e.labels.length > 0 && `, labels ${e.labels.join(", ")}`}
        </p>
        <p class="when">
          On {e.host}, Toroid {e.version}, up since <Ago atMs={e.sinceMs} />
        </p>
        {e.draining && (
          <p class="paused">
            Takes nothing new: <q>{e.why}</q>
          </p>
        )}
      </div>
    </li>
  );
}
