import { createServer, type Server, type Socket } from "node:net";
import { until } from "./until.ts";

/** Holds scripts where a test wants them, until it lets them go on. Needs bash in the workspace. */
export class Gate implements AsyncDisposable {
  readonly #server: Server;
  readonly #held = new Set<Socket>();
  #arrivals = 0;
  #passed = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.#arrivals += 1;
      this.#held.add(socket);
      socket.on("error", () => undefined).on("close", () => this.#held.delete(socket));
    });
  }

  static async start(): Promise<Gate> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, "127.0.0.1", resolve);
    });
    return new Gate(server);
  }

  /** The line of a script that waits here. */
  get line(): string {
    const address = this.#server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    return `bash -c 'cat </dev/tcp/127.0.0.1/${port}'`;
  }

  /** Resolves when one more script has come than were let through. */
  async reached(): Promise<void> {
    await until("a script to come to the gate", () => this.#arrivals > this.#passed, { withinMs: 30_000 });
  }

  /** Waits for a script, and lets it through. */
  async pass(): Promise<void> {
    await this.reached();
    this.#passed = this.#arrivals;
    for (const socket of this.#held) socket.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#held) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
