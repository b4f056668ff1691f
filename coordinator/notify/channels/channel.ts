import type { Delivery } from "../../../protocol/delivery.ts";
import type { Answer } from "../transitions.ts";

/** One try. `lane`: all that is known of the deliveries of its lane. Throws when there is no answer. */
export type Send = (delivery: Delivery, lane: readonly Delivery[], signal: AbortSignal) => Promise<Answer>;
