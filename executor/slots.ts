/** The slots of an executor: each with a pipe, and with uids and a network that the sandbox's `serve` keeps for it. */
import { basename, dirname, join } from "node:path";
import { layerByServe } from "./images/layer.ts";
import type { Unpacked } from "./images/unpack.ts";
import type { Leash } from "./leash.ts";
import type { SandboxClient } from "./sandbox/client.ts";
import { OutputPipe } from "./workspace/pipe.ts";
import type { RunningSandbox, Slot, SlotRun } from "./workspace.ts";

export interface SlotsOptions {
  readonly count: number;
  /** More that `serve` has: each is beside one of the others. */
  readonly spare: number;
  /** For their pipes. */
  readonly dir: string;
  readonly network: "full" | "host";
  /** null: `serve` knows of none. */
  readonly leash: Leash | null;
}

/** Makes as many as `count`. */
export async function makeSlots(client: SandboxClient, o: SlotsOptions): Promise<readonly Slot[]> {
  const slots: Slot[] = [];
  for (let number = 0; number < o.count; number += 1) {
    const beside = number < o.spare ? await makeSlot(client, o.count + number, o, null) : null;
    slots.push(await makeSlot(client, number, o, beside));
  }
  return slots;
}

async function makeSlot(client: SandboxClient, number: number, o: SlotsOptions, beside: Slot | null): Promise<Slot> {
  return new ServedSlot(client, number, await OutputPipe.make(join(o.dir, `${number}.out`)), o, beside);
}

class ServedSlot implements Slot {
  readonly network: "full" | "host";
  readonly beside: Slot | null;
  readonly #client: SandboxClient;
  readonly #number: number;
  readonly #pipe: OutputPipe;
  readonly #leash: Leash | null;

  constructor(
    client: SandboxClient,
    number: number,
    pipe: OutputPipe,
    { network, leash }: SlotsOptions,
    beside: Slot | null,
  ) {
    this.beside = beside;
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

  saveLayer(workspace: string, root: string): Promise<Unpacked | string> {
    return layerByServe(this.#client, dirname(this.#pipe.path), scratchOf(workspace), root);
  }

  async clear(workspace: string): Promise<void> {
    await Promise.all([this.#client.discard(scratchOf(workspace)), this.#client.remove(workspace)]);
  }
}

/** What the sandbox's `serve` calls what the runs of an attempt's directory write into. */
export function scratchOf(workspace: string): string {
  return basename(workspace);
}
