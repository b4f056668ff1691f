/** The slots of an executor: each with a pipe, and with uids and a network that the sandbox's `serve` keeps for it. */
import { basename, join } from "node:path";
import type { SandboxClient } from "./sandbox/client.ts";
import { OutputPipe } from "./workspace/pipe.ts";
import type { RunningSandbox, Slot, SlotRun } from "./workspace.ts";

/** Makes as many as `count`, their pipes in `dir`. */
export async function makeSlots(
  client: SandboxClient,
  o: { readonly count: number; readonly dir: string; readonly network: "full" | "host" },
): Promise<readonly Slot[]> {
  const slots: Slot[] = [];
  for (let number = 0; number < o.count; number += 1) {
    const pipe = await OutputPipe.make(join(o.dir, `${number}.out`));
    slots.push(new ServedSlot(client, number, pipe, o.network));
  }
  return slots;
}

class ServedSlot implements Slot {
  readonly network: "full" | "host";
  readonly #client: SandboxClient;
  readonly #number: number;
  readonly #pipe: OutputPipe;

  constructor(client: SandboxClient, number: number, pipe: OutputPipe, network: "full" | "host") {
    this.#client = client;
    this.#number = number;
    this.#pipe = pipe;
    this.network = network;
  }

  run(o: SlotRun): RunningSandbox {
    const { reader, giveUp } = this.#pipe.open();
    const ours = ["--scratch", scratchOf(o.workspace), "--slot", String(this.#number), "--output", this.#pipe.path];
    const words = ["run", ...o.options, ...ours, "--", ...o.command];
    const ends = { cancelled: o.cancelled, abandoned: o.abandoned };
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
