/** The one slot of `toroid run`: the helper started by itself, as root, with what it chooses when nobody says. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { removeTree } from "../trees.ts";
import { runHelper } from "../workspace/helper.ts";
import type { OutputPipe } from "../workspace/pipe.ts";
import type { RunningSandbox, Slot, SlotRun } from "../workspace.ts";

export class LocalSlot implements Slot {
  readonly network = "host";
  readonly #binary: string;
  readonly #pipe: OutputPipe;

  constructor(binary: string, pipe: OutputPipe) {
    this.#binary = binary;
    this.#pipe = pipe;
  }

  async run(o: SlotRun): Promise<RunningSandbox> {
    const scratch = join(o.workspace, "scratch");
    await mkdir(scratch, { recursive: true, mode: 0o700 });
    const { reader, writerFd, giveUp } = this.#pipe.open();
    const verdict = runHelper({
      binary: this.#binary,
      options: [...o.options, "--scratch", scratch],
      command: o.command,
      outputFd: writerFd,
      taken: giveUp,
      cancelled: o.cancelled,
      abandoned: o.abandoned,
    });
    return { output: reader, verdict };
  }

  /** Root reads all that there is. */
  async takeOver(): Promise<void> {}

  async clear(workspace: string): Promise<void> {
    await removeTree(workspace);
  }
}
