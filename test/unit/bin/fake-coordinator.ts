import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

/** JSON with a status, or a function that writes the answer itself. */
export type Answer =
  | { readonly status?: number; readonly json: unknown }
  | ((response: ServerResponse, asked: Asked) => void);

/**
 * Stands for the coordinator: answers `GET /path` with a recorded shape, and remembers what it was asked. The real one
 * is met by the commands in test/e2e.
 */
export class FakeCoordinator implements AsyncDisposable {
  readonly asked: Asked[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param answers by `GET /api/v1/builds` and the like; what is not there is 404 */
  static async start(answers: Readonly<Record<string, Answer>>): Promise<FakeCoordinator> {
    const server = createServer();
    const fake = new FakeCoordinator(server);
    server.on("request", (request, response) => void fake.#answer(answers, request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(
    answers: Readonly<Record<string, Answer>>,
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const { method = "GET", headers } = request;
    const { pathname: path, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const sent = await text(request);
    const body: unknown = sent === "" ? null : JSON.parse(sent);
    const asked = { method, path, query: Object.fromEntries(searchParams), headers, body };
    this.asked.push(asked);
    const answer = answers[`${method} ${path}`] ?? missing(path);
    if (typeof answer === "function") return answer(response, asked);
    response.writeHead(answer.status ?? 200, { "content-type": "application/json" }).end(JSON.stringify(answer.json));
  }
}

/** As the coordinator says no. */
export function refusal(status: number, code: string, message: string): Answer {
  return { status, json: { code, message, details: {}, docs: "" } };
}

function missing(path: string): Answer {
  return refusal(404, "TOR_NOT_FOUND", `there is nothing at ${path}`);
}
