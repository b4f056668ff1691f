/** A coordinator with sign-in, and what strangers and bystanders send to it. */
import { connect } from "node:net";
import { Tokens } from "../../../coordinator/access/tokens.ts";
import { openBucket } from "../../../kit/topology.ts";
import type { TokenScope } from "../../../protocol/access.ts";
import { TOKENS } from "../../../protocol/streams.ts";
import { type Api, startApi } from "../../integration/coordinator/api-rig.ts";

export interface Guarded extends Api {
  /** The header of a new token. */
  bearer(scope: TokenScope, repositories?: readonly string[], user?: string): Promise<{ authorization: string }>;
  /** Bytes as they are, and all that comes back until the other side ends the connection. */
  raw(bytes: string): Promise<string>;
}

export async function startGuarded(variables: Record<string, string> = {}): Promise<Guarded> {
  const api = await startApi({ TOROID_AUTH: "token", ...variables });
  const tokens = new Tokens(await openBucket(api.jet, TOKENS), Date.now);
  return {
    ...api,
    async bearer(scope, repositories, user = "ada") {
      const of = { repositories: repositories === undefined ? null : [...repositories], account: null };
      const made = await tokens.create({ name: scope, scope, user, expiresAtMs: null, ...of }, "test");
      return { authorization: `Bearer ${made.secret}` };
    },
    raw: (bytes) => rawTo(api.url, bytes),
  };
}

export async function rawTo(url: string, bytes: string): Promise<string> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  const { promise, resolve } = Promise.withResolvers<string>();
  let answer = "";
  socket.setEncoding("latin1").on("data", (text) => (answer += text));
  socket.on("error", () => undefined);
  socket.once("close", () => resolve(answer));
  socket.write(bytes, "latin1");
  return promise;
}
