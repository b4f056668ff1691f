/** The SSH server that Packer's `ssh` communicator talks to: its commands run in the workspace that becomes the image. */
import { timingSafeEqual } from "node:crypto";
import { createServer } from "node:net";
import ssh2, { type AuthContext, type Connection, type ParsedKey, type ServerChannel } from "ssh2";
import { scpOf, serveScp } from "./scp.ts";
import { serveSftp } from "./sftp.ts";
import type { Target } from "./target.ts";

export interface SshServer {
  /** The one key that opens it, in OpenSSH's format. */
  readonly clientKey: string;
  /** Resolves once it listens. */
  listen(port: number, host: string): Promise<void>;
  /** Takes no connection any more. */
  close(): void;
}

/** A server with keys that nothing else has. */
export function makeSshServer(target: Target): SshServer {
  const [host, client] = [keyPair(), keyPair()];
  const { known } = client;
  const server = new ssh2.Server({ hostKeys: [host.secret] }, (connection) => {
    connection.on("error", () => undefined); // Packer says what broke
    connection.on("authentication", (context) =>
      opens(known, context) ? context.accept() : context.reject(["publickey"]),
    );
    connection.on("ready", () => acceptSessions(connection, target));
  });
  // Packer waits for each answer before it goes on: 40 ms more for every command, with delay.
  const sockets = createServer({ noDelay: true }, (socket) => server.injectSocket(socket));
  return {
    clientKey: client.secret,
    listen: (port, address) =>
      new Promise((resolve, reject) => {
        sockets.once("error", reject);
        sockets.listen(port, address, () => resolve());
      }),
    close: () => void sockets.close(),
  };
}

interface KeyPair {
  readonly secret: string;
  readonly known: ParsedKey;
}

/** ssh2 cuts zeros off the beginning of keys, so one pair in some hundred cannot be read: then another is made. */
function keyPair(): KeyPair {
  for (;;) {
    const made = ssh2.utils.generateKeyPairSync("ed25519");
    const known = ssh2.utils.parseKey(made.public);
    if (!(known instanceof Error) && !(ssh2.utils.parseKey(made.private) instanceof Error))
      return { secret: made.private, known };
  }
}

/** Does who authenticates have the key? */
export function opens(known: ParsedKey, context: AuthContext): boolean {
  if (context.method !== "publickey") return false;
  const expected = known.getPublicSSH();
  const { data, algo } = context.key;
  if (algo !== known.type || data.length !== expected.length || !timingSafeEqual(data, expected)) return false;
  // Without a signature it only asks whether this key would do.
  if (context.signature === undefined || context.blob === undefined) return true;
  // It may answer an error, whatever its types say.
  const verified: unknown = known.verify(context.blob, context.signature, context.hashAlgo);
  return verified === true;
}

/** Serves commands and file transfers to who has authenticated. */
export function acceptSessions(connection: Connection, target: Target): void {
  connection.on("session", (accept) => {
    const session = accept();
    session.on("env", (agree) => agree?.());
    session.on("sftp", (take) => serveSftp(take(), target));
    session.on("exec", (take, _reject, { command }) => {
      const channel = take();
      channel.on("error", () => undefined); // as above
      serve(channel, command, target).catch((error: unknown) => {
        channel.stderr.write(`toroid: ${error instanceof Error ? error.message : String(error)}\n`);
        channel.exit(255);
        channel.end();
      });
    });
  });
}

async function serve(channel: ServerChannel, command: string, target: Target): Promise<void> {
  const scp = scpOf(command);
  const code = scp === null ? await execute(channel, command, target) : await serveScp(channel, scp, target);
  channel.exit(code);
  channel.end();
}

async function execute(channel: ServerChannel, command: string, target: Target): Promise<number> {
  const { stdin, stdout, stderr, code } = await target.start(command);
  channel.pipe(stdin);
  await Promise.all([forward(stdout, channel), forward(stderr, channel.stderr)]);
  return await code;
}

/** To the end, without ending `into`. */
async function forward(from: AsyncIterable<unknown>, into: NodeJS.WritableStream): Promise<void> {
  for await (const chunk of from) {
    if (!into.writable) return;
    if (!into.write(chunk as Uint8Array)) await new Promise((resolve) => into.once("drain", resolve));
  }
}
