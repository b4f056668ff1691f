/** The slots of an executor: each with a pipe, and with uids and a network that the sandbox's `serve` keeps for it. */
import { basename, join } from "node:path";
import type { Leash } from "./leash.ts";
import type { SandboxClient } from "./sandbox/client.ts";
import { OutputPipe } from "./workspace/pipe.ts";
import type { RunningSandbox, Slot, SlotRun } from "./workspace.ts";

/** Makes as many as `count`, their pipes in `dir`. */
export async function makeSlots(
  client: SandboxClient,
  o: {
    readonly count: number;
    readonly dir: string;
    readonly network: "full" | "host";
    /** null: `serve` knows of none. */
    readonly leash: Leash | null;
  },
): Promise<readonly Slot[]> {
  const slots: Slot[] = [];
  for (let number = 0; number < o.count; number += 1) {
    const pipe = await OutputPipe.make(join(o.dir, `${number}.out`));
    slots.push(new ServedSlot(client, number, pipe, o));
  }
  return slots;
}

class ServedSlot implements Slot {
  readonly network: "full" | "host";
  readonly #client: SandboxClient;
  readonly #number: number;
  readonly #pipe: OutputPipe;
  readonly #leash: Leash | null;

  constructor(
    client: SandboxClient,
    number: number,
    pipe: OutputPipe,
    { network, leash }: { readonly network: "full" | "host"; readonly leash: Leash | null },
  ) {
    this.#client = client;
    this.#number = number;
    this.#pipe = pipe;
    this.network = network;
    this.#leash = leash;
  }

  run(o: SlotRun): RunningSandbox {
    const { reader, giveUp } = this.#pipe.open();
    const ours = ["--scratch", scratchOf(o.workspace), "--slot", String(this.#number), "--output", this.#pipe.path];
    const leashMs = this.#leash?.ms ?? null;
    if (leashMs !== null) ours.push("--lease-ms", String(leashMs));
    const words = ["run", ...o.options, ...ours, "--", ...o.command];
    const ends = { cancelled: o.cancelled, abandoned: o.abandoned, leash: this.#leash };
    return { output: reader, verdict: this.#client.run({ words, taken: giveUp, ...ends }) };
  }

  async takeOver(path: string): Promise<void> {
    await this.#client.adopt(path);
  }

  async clear(workspace: string): Promise<void> {
    await Promise.all([this.#client.discard(scratchOf(workspace)), this.#client.remove(workspace)]);
  }
}

function scratchOf(workspace: string): string {
  return basename(workspace);
}
