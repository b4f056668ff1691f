/** A person at the API of whichever coordinator answers: sees to lanes that ask, cancels, pauses. */
import { setTimeout as sleep } from "node:timers/promises";
import type { BuildId } from "../../../protocol/ids.ts";
import type { EnvironmentSummary } from "../../../protocol/summary.ts";

const ANSWER_MS = 3_000;
const LOOK_MS = 500;

export interface OperatorParts {
  /** Where coordinators are now. */
  readonly urls: () => readonly string[];
  /** Builds that have not finished. */
  readonly unfinished: () => readonly BuildId[];
  readonly note: (line: string) => void;
}

interface Overview {
  readonly repositories: readonly {
    readonly repository: string;
    readonly environments: readonly EnvironmentSummary[];
  }[];
}

export class Operator {
  readonly #o: OperatorParts;

  constructor(parts: OperatorParts) {
    this.#o = parts;
  }

  /** Until `stop`: has lanes go on that stopped because nobody knows whether a stage has acted. */
  async attend(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await sleep(LOOK_MS, undefined, { signal: stop }).catch(() => undefined);
      const overview = await this.#ask<Overview>("GET", "/api/v1/repositories");
      for (const { repository, environments } of overview?.repositories ?? []) {
        for (const { environment, paused } of environments) {
          if (paused?.by !== "toroid") continue;
          this.#o.note(`resumes ${repository} ${environment}: ${paused.why}`);
          await this.#ask("POST", `/api/v1/environments/${repository}/${environment}/resume`, { reason: "looked" });
        }
      }
    }
  }

  async cancelNewest(repository: string): Promise<void> {
    const newest = this.#o.unfinished().findLast((build) => build.repository === repository);
    if (newest === undefined) return;
    this.#o.note(`cancels ${repository}#${newest.number}`);
    await this.#ask("POST", `/api/v1/builds/${repository}/${newest.number}/cancel`, { reason: "not wanted" });
  }

  async pause(repository: string, environment: string, forMs: number): Promise<void> {
    const until = new Date(Date.now() + forMs).toISOString();
    const place = `/api/v1/environments/${repository}/${encodeURIComponent(environment)}/pause`;
    await this.#ask("POST", place, { reason: "a moment", until });
  }

  /** Of the first that answers; null when none does, or it refuses. */
  async #ask<T>(method: "GET" | "POST", path: string, body?: object): Promise<T | null> {
    for (const url of this.#o.urls()) {
      try {
        const answer = await fetch(new URL(path, url), {
          method,
          signal: AbortSignal.timeout(ANSWER_MS),
          ...(body === undefined
            ? {}
            : { headers: { "content-type": "application/json" }, body: JSON.stringify(body) }),
        });
        if (answer.ok) return (await answer.json()) as T;
        this.#o.note(`${method} ${path}: ${answer.status} ${await answer.text()}`);
        if (answer.status < 500) return null;
      } catch {
        // It is dead, stopped or cut off: the next one.
      }
    }
    return null;
  }
}
