import type { StageResult } from "../protocol/events.ts";

/** What is said at the end of an attempt. */
export type Ending =
  | { readonly kind: "finished"; readonly result: StageResult }
  | {
      readonly kind: "errored";
      readonly code: string;
      readonly message: string;
      readonly acted: boolean;
      readonly retryable: boolean;
    };
