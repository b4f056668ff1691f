import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";

/** What becomes of a call: `lost`: it never arrives; `unheard`: it does, and nobody hears the answer. */
export type Fate = "passes" | "lost" | "unheard";

/** Stands before an EC2-compatible server, and has calls fail as a network would: gone at the end of the block. */
export class Ec2Proxy implements AsyncDisposable {
  readonly endpoint: string;
  /** Names of the calls, in order. */
  readonly calls: string[] = [];
  /** Asked of each call by its name; whoever sets it decides. */
  fateOf: (action: string) => Fate = () => "passes";
  readonly #end: () => Promise<void>;

  private constructor(port: number, end: () => Promise<void>) {
    this.endpoint = `http://127.0.0.1:${port}`;
    this.#end = end;
  }

  static async start(target: string): Promise<Ec2Proxy> {
    const server = createServer((request, response) => {
      void (async () => {
        const body = await text(request);
        const action = new URLSearchParams(body).get("Action") ?? "?";
        proxy.calls.push(action);
        const fate = proxy.fateOf(action);
        if (fate === "lost") return request.socket.destroy();
        const answer = await fetch(target + (request.url ?? "/"), {
          method: "POST",
          headers: headersOf(request),
          body,
        });
        const said = await answer.text();
        if (fate === "unheard") return request.socket.destroy();
        response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "text/xml" });
        return response.end(said);
      })().catch(() => request.socket.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const proxy = new Ec2Proxy(port, async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    });
    return proxy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }
}

/** What the server goes by: who asks, and of which region. */
function headersOf({ headers }: IncomingMessage): Record<string, string> {
  const names = ["authorization", "content-type", "x-amz-date"];
  return Object.fromEntries(names.map((name) => [name, String(headers[name] ?? "")]));
}
