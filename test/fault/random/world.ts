/**
 * The world that scripts act on: it writes down what each did, in the order in which it came, and as a careful target
 * does, refuses whoever comes with an older fence than one it has seen.
 */
import { createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { z } from "zod";

/** What one script did. */
export interface Deed {
  readonly what: "build" | "publish" | "begin" | "end";
  readonly repository: string;
  readonly number: number;
  readonly stage: string;
  readonly attempt: number;
  /** Of its environment; null in a build stage. */
  readonly fence: number | null;
  readonly accepted: boolean;
}

interface Occasion {
  readonly isIt: (deed: Deed) => boolean;
  readonly act: (deed: Deed) => Promise<void>;
  readonly over: () => void;
  readonly failed: (error: unknown) => void;
}

/** In each repository: tells the world what the script does, and fails when the world will not have it. */
export const SAY = `#!/bin/bash
exec 3<>"/dev/tcp/127.0.0.1/$WORLD"
echo "$1 $TOROID_REPOSITORY $TOROID_BUILD $TOROID_STAGE $TOROID_ATTEMPT \${TOROID_FENCE:-0}" >&3
read -r answer <&3
[ "$answer" = ok ]
`;

const said = z.tuple([
  z.enum(["build", "publish", "begin", "end"]),
  z.string(),
  z.coerce.number(),
  z.string(),
  z.coerce.number(),
  z.coerce.number(),
]);

export class World implements AsyncDisposable {
  readonly deeds: Deed[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #newest = new Map<string, number>();
  #onBegin: Occasion | null = null;

  private constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => this.#serve(socket));
  }

  static async start(): Promise<World> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new World(server);
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /**
   * Once: does this while the next such deployment waits for the world's answer. Resolves when it has, or is forgotten;
   * rejects when it could not.
   */
  async onNextBegin(isIt: (deed: Deed) => boolean, act: (deed: Deed) => Promise<void>): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#onBegin = { isIt, act, over: resolve, failed: reject };
    await promise;
  }

  forget(): void {
    this.#onBegin?.over();
    this.#onBegin = null;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    // A script that is killed hangs up as it may; the reader of lines passes that on.
    const hungUp = (): void => void socket.destroy();
    socket.on("error", hungUp);
    createInterface({ input: socket })
      .on("error", hungUp)
      .on("line", (line) => void this.#answer(socket, line));
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    const [what, repository, number, stage, attempt, fence] = said.parse(line.split(" "));
    const lane = `${repository} ${stage}`;
    const accepted = fence >= (this.#newest.get(lane) ?? 0);
    if (accepted) this.#newest.set(lane, fence);
    const deed = { what, repository, number, stage, attempt, fence: fence === 0 ? null : fence, accepted };
    this.deeds.push(deed);
    const occasion = what === "begin" ? this.#onBegin : null;
    if (occasion?.isIt(deed) === true) {
      this.#onBegin = null;
      await occasion.act(deed).then(occasion.over, occasion.failed);
    }
    socket.write(accepted ? "ok\n" : "refused\n");
  }
}
