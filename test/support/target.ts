/** A server that is notified, at the edge of the network where GitHub, Slack or somebody's own receiver would be. */
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { text as readAll } from "node:stream/consumers";

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Reply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export class TargetServer implements AsyncDisposable {
  /** What was asked of it, the first first. */
  readonly received: Received[] = [];
  readonly #server: Server;
  readonly #port: number;
  /** What it answers; null: it holds its tongue. */
  reply: (asked: Received) => Reply | null = () => ({ status: 200 });

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.#port = port;
  }

  static async start(port = 0): Promise<TargetServer> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    const it = new TargetServer(server, (server.address() as AddressInfo).port);
    server.on("request", (request, response) => {
      void readAll(request).then((body) => {
        const asked = { method: request.method ?? "", path: request.url ?? "", headers: request.headers, body };
        it.received.push(asked);
        const reply = it.reply(asked);
        if (reply === null) return;
        response.writeHead(reply.status, { "content-type": "application/json", ...reply.headers });
        response.end(reply.body === undefined ? "{}" : JSON.stringify(reply.body));
      });
    });
    return it;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  bodies(path: string): readonly unknown[] {
    return this.received.filter((one) => one.path === path).map(({ body }) => JSON.parse(body) as unknown);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }
}
