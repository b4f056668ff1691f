/** A way to a registry on which one blob does not come until it is let through. */
import { createServer, request } from "node:http";

export interface SlowRegistry extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** Resolves when somebody has asked for the blob. */
  readonly asked: Promise<void>;
  /** How often it was asked for. */
  readonly times: () => number;
  letThrough(): void;
}

export async function slowRegistry(behind: string, blob: string): Promise<SlowRegistry> {
  const [host = "", port = ""] = behind.split(":");
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  let times = 0;
  const server = createServer((from, to) => {
    const pass = (): void => {
      const headers = { ...from.headers, host: behind };
      const ask = request({ host, port, method: from.method, path: from.url, headers }, (answer) => {
        to.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(to);
      });
      ask.on("error", () => to.destroy());
      from.pipe(ask);
    };
    if (from.method !== "GET" || !from.url?.endsWith(blob)) return pass();
    times += 1;
    asked.resolve();
    void gate.promise.then(pass);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("it does not listen");
  return {
    address: `127.0.0.1:${address.port}`,
    asked: asked.promise,
    times: () => times,
    letThrough: gate.resolve,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
