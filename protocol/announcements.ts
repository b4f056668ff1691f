/**
 * Events for people: what `nats sub 'toroid.events.>'` prints. One line of JSON each, with CloudEvents attributes and
 * CDEvents words where it has one. A projection: nothing in Toroid reads them back.
 */
import { eventSubject } from "./subjects.ts";

/** CloudEvents 1.0 in structured JSON mode. */
export interface Announcement {
  readonly specversion: "1.0";
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly datacontenttype: "application/json";
  readonly data: Readonly<Record<string, unknown>>;
}

/** What happened to what. The first three are words of CDEvents 0.4, the others our own. */
export type Predicate =
  | { readonly subject: "pipelinerun"; readonly predicate: "queued" | "started" | "finished" }
  | { readonly subject: "taskrun"; readonly predicate: "started" | "finished" }
  | { readonly subject: "service"; readonly predicate: "deployed" | "rolledback" }
  | { readonly subject: "artifact"; readonly predicate: "packaged" }
  | { readonly subject: "pipelinerun"; readonly predicate: "cancelrequested" | "superseded" | "retried" }
  | { readonly subject: "environment"; readonly predicate: "paused" | "resumed" | "held" | "released" }
  | {
      readonly subject: "stage";
      readonly predicate: "requested" | "refused" | "queued" | "claimed" | "fenced" | "errored" | "cancelrequested";
    }
  | { readonly subject: "approval"; readonly predicate: "requested" | "given" | "rejected" }
  | { readonly subject: "lane"; readonly predicate: "entered" | "withdrawn" | "admitted" | "left" };

const CDEVENTS: ReadonlySet<string> = new Set([
  "pipelinerun.queued",
  "pipelinerun.started",
  "pipelinerun.finished",
  "taskrun.started",
  "taskrun.finished",
  "service.deployed",
  "service.rolledback",
  "artifact.packaged",
]);

/** Builds the event and the subject it goes to. `id` is the id of the internal event, so a repeat is the same event. */
export function announce(
  what: Predicate,
  at: { readonly repository: string; readonly build: number | null; readonly environment: string | null },
  id: string,
  atMs: number,
  data: Readonly<Record<string, unknown>>,
): { readonly subject: string; readonly event: Announcement } {
  const family = CDEVENTS.has(`${what.subject}.${what.predicate}`) ? "dev.cdevents" : "dev.toroid";
  const build = at.build === null ? "" : `#${at.build}`;
  return {
    subject: eventSubject(at.repository, at.build, at.environment, what.subject, what.predicate),
    event: {
      specversion: "1.0",
      id,
      source: `/toroid/${at.repository}`,
      type: `${family}.${what.subject}.${what.predicate}`,
      subject: `${at.repository}${build}${at.environment === null ? "" : ` ${at.environment}`}`,
      time: new Date(atMs).toISOString(),
      datacontenttype: "application/json",
      data: { repository: at.repository, build: at.build, environment: at.environment, ...data },
    },
  };
}
