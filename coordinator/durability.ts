/** What is said, at the start and by `toroid doctor`, about what a loss of power would lose. */

import type { StoreSync } from "../kit/store-sync.ts";
import { assertNever, ToroidError } from "../protocol/errors.ts";

export interface Durability {
  readonly ok: boolean;
  /** One sentence for the operator. */
  readonly says: string;
}

/** @throws {ToroidError} TOR_STORE_LAZY for a store that would lose what it acknowledged, unless that is allowed. */
export function judgeSync(sync: StoreSync, allowLazy: boolean): Durability {
  switch (sync.kind) {
    case "always":
      return { ok: true, says: "NATS writes to disk before it acknowledges" };
    case "lazy": {
      const fact = `nats-server (${sync.server}) writes to disk every ${Math.round(sync.everyMs / 1_000)} s only, so a loss of power takes what it acknowledged since with it`;
      if (allowLazy) return { ok: true, says: `${fact}; TOROID_ALLOW_LAZY_SYNC allows it` };
      throw new ToroidError(
        "TOR_STORE_LAZY",
        `${fact}: put \`sync_interval: always\` into its jetstream block, or allow it by TOROID_ALLOW_LAZY_SYNC=1`,
        { server: sync.server },
      );
    }
    case "unknown": {
      const fact = `it is not known whether NATS writes to disk before it acknowledges (${sync.why})`;
      if (allowLazy) return { ok: true, says: `${fact}; TOROID_ALLOW_LAZY_SYNC allows that it does not` };
      const todo =
        "set TOROID_NATS_MONITOR_URL to the monitoring port of nats-server (`http: 127.0.0.1:8222` in its configuration)";
      return { ok: false, says: `${fact}: ${todo}, or TOROID_ALLOW_LAZY_SYNC=1 where losing builds does not matter` };
    }
    default:
      return assertNever(sync, "store sync");
  }
}
