import type { Push, Remote } from "../../../protocol/work.ts";

/** What a carrier (a queue, a webhook) has in hand. */
export interface RawMessage {
  readonly body: Uint8Array;
  /** Message attributes or HTTP headers, under whatever spelling of their names they came. */
  readonly attributes: Readonly<Record<string, string>>;
  /**
   * The carrier's own id of this message: the same when it is delivered again. Tells two requests apart that say the
   * same and name no key. Never the identity of a push: a forge that sends one again makes a new message of it.
   */
  readonly id: string;
}

/** What somebody asks for in a message of Toroid's own. */
export type IntakeRequest =
  /** A new build of `ref`, which may be short (`main`) or whole (`refs/tags/v1`). */
  | {
      readonly what: "build";
      readonly repository: string;
      readonly ref: string;
      /** null: where the repository's last push came from. */
      readonly remote: Remote | null;
      readonly params: Readonly<Record<string, string>>;
    }
  /** One more round of an environment of a build that is there. */
  | {
      readonly what: "environment";
      readonly repository: string;
      readonly number: number;
      readonly environment: string;
      readonly params: Readonly<Record<string, string>>;
    };

/** What is to be recorded. `key` is the same for every copy of it; whoever records it keeps keys for 14 days. */
export type Arrival =
  | { readonly kind: "push"; readonly key: string; readonly push: Push }
  | { readonly kind: "request"; readonly key: string; readonly request: IntakeRequest };

export type Intake =
  | Arrival
  /** Understood, and nothing is to be done; `reason` is a sentence. */
  | { readonly kind: "ignored"; readonly reason: string }
  /** Not understood; `reason` is a sentence that names the field or the shape. */
  | Refused;

export interface Refused {
  readonly kind: "refused";
  readonly reason: string;
}

export function refused(reason: string): Refused {
  return { kind: "refused", reason };
}

/** What the envelopes said of the event in them. */
export interface Headers {
  /** `push`, `ping`; null where the way in loses it. */
  readonly event: string | null;
  /** The forge's delivery id. */
  readonly delivery: string | null;
  /** SNS's message id: one publication, however often it is delivered. */
  readonly sns: string | null;
}
