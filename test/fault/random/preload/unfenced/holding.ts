/** The real one, but that it lets go of nothing, though it may be another's. */
import { type AbandonReason, Holding as Fenced } from "../../../../../executor/holding.ts";

export * from "../../../../../executor/holding.ts";

export class Holding extends Fenced {
  override abandon(why: AbandonReason): void {
    if (why === "stopped") super.abandon(why);
  }
}
