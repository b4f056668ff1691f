import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Ec2Server } from "./ec2.ts";

/** What AWS answers when it refuses a call. */
export interface Refusal {
  readonly status: number;
  readonly code: string;
  readonly message: string;
}

/**
 * A proxy in front of the EC2-compatible server: it answers what that one cannot (quotas, wrong credentials, images that
 * take their time) with AWS' own words, and takes out what that one does not know: tags of snapshots in CreateImage,
 * which Packer 1.9 gives; they are given by CreateTags as well.
 */
export class Ec2Front implements AsyncDisposable {
  readonly endpoint: string;
  /** Calls in order, by name. */
  readonly calls: string[] = [];
  /** Public keys that were imported: what an instance of AWS would let in. */
  readonly keys: string[] = [];
  /** Answers a call in place of the server; null: the server does. */
  refuse: (action: string, words: URLSearchParams) => Refusal | null = () => null;
  /** Changes what the server answered. */
  change: (action: string, body: string, words: URLSearchParams) => string = (_, body) => body;
  /** Waits before a call goes on. */
  before: (action: string) => Promise<void> = () => Promise.resolve();
  readonly #close: () => Promise<void>;

  private constructor(endpoint: string, close: () => Promise<void>) {
    this.endpoint = endpoint;
    this.#close = close;
  }

  static async start(server: Ec2Server): Promise<Ec2Front> {
    const http = createServer();
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    const { port } = http.address() as AddressInfo;
    const front = new Ec2Front(`http://127.0.0.1:${port}`, () => {
      http.closeAllConnections();
      return new Promise((resolve) => http.close(() => resolve()));
    });
    http.on("request", (from, to) => void front.#pass(server.endpoint, from, to));
    return front;
  }

  async #pass(endpoint: string, from: IncomingMessage, to: ServerResponse): Promise<void> {
    const words = new URLSearchParams(await textOf(from));
    const action = words.get("Action") ?? "";
    this.calls.push(action);
    await this.before(action);
    const refusal = this.refuse(action, words);
    if (refusal !== null) return void to.writeHead(refusal.status, { "content-type": "text/xml" }).end(xmlOf(refusal));
    if (action === "ImportKeyPair")
      this.keys.push(Buffer.from(words.get("PublicKeyMaterial") ?? "", "base64").toString("utf8"));
    if (action === "CreateImage") withoutSnapshotTags(words);
    const { host: _, "content-length": __, ...headers } = from.headers;
    const onward = request(endpoint, { method: "POST", headers, path: "/" }, (answer) => {
      void textOf(answer).then((body) => {
        const { "content-length": ___, "transfer-encoding": ____, ...kept } = answer.headers;
        to.writeHead(answer.statusCode ?? 500, kept).end(this.change(action, body, words));
      });
    });
    onward.on("error", () => to.destroy());
    onward.end(words.toString());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

async function textOf(stream: AsyncIterable<unknown>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

function withoutSnapshotTags(words: URLSearchParams): void {
  const names = [...words.keys()];
  const prefixes = names.flatMap((name) => {
    const [, prefix] = /^(TagSpecification\.\d+\.)ResourceType$/.exec(name) ?? [];
    return prefix !== undefined && words.get(name) === "snapshot" ? [prefix] : [];
  });
  for (const name of names) if (prefixes.some((prefix) => name.startsWith(prefix))) words.delete(name);
}

function xmlOf({ code, message }: Refusal): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>${code}</Code><Message>${message}</Message></Error></Errors><RequestID>ea966190-f9aa-478e-9ede-example</RequestID></Response>`;
}
