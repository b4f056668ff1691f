/** What the HTTP side needs of the rest. */
import type { Jet } from "../../kit/jetstream.ts";
import type { Logger } from "../../kit/log.ts";
import type { Mailboxes } from "../mailboxes.ts";
import type { History } from "../projections/history.ts";
import type { Lanes } from "../projections/lanes.ts";

export interface HttpParts {
  readonly jet: Jet;
  readonly actors: Mailboxes;
  readonly history: History;
  readonly lanes: Lanes;
  readonly log: Logger;
  /** Streams to clients end when this aborts. */
  readonly stop: AbortSignal;
}
