/**
 * A build's standard output and error: one named pipe for both, so that their order is kept. Node gives children
 * sockets, which a script cannot open again as `/dev/stdout`; a pipe owned by the sandbox's root it can.
 */
import { constants, openSync } from "node:fs";
import { chown, rm } from "node:fs/promises";
import { Socket } from "node:net";
import type { Readable } from "node:stream";
import { execa } from "execa";
import { ToroidError } from "../../protocol/errors.ts";

export interface OpenPipe {
  /** Ends when every writer has closed it. */
  readonly reader: Readable;
  /** For the child; to be closed once the child has it, so that the reader sees the end. */
  readonly writerFd: number;
}

export class OutputPipe {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Makes it anew at `path`, for uid `owner` to open. */
  static async make(path: string, owner: number): Promise<OutputPipe> {
    await rm(path, { force: true });
    const { exitCode, stderr } = await execa("mkfifo", ["-m", "600", "--", path], { reject: false, stdin: "ignore" });
    if (exitCode !== 0) throw new ToroidError("TOR_SANDBOX_SETUP", `cannot make a pipe: ${stderr}`);
    await chown(path, owner, owner);
    return new OutputPipe(path);
  }

  open(): OpenPipe {
    const readerFd = openSync(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
    // Answers at once, since there is a reader.
    const writerFd = openSync(this.#path, constants.O_WRONLY);
    return { reader: new Socket({ fd: readerFd, readable: true, writable: false }), writerFd };
  }
}
