/**
 * What the workspace of Packer starts: the SSH server, and Packer as its client. Reads nothing but its arguments, and
 * runs with nothing of ours around it, for a template can run commands beside it.
 */
import { spawn } from "node:child_process";
import { appendFile, chmod, mkdir, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { makeSshServer } from "./server.ts";
import { Target } from "./target.ts";

export interface PackerCall {
  readonly packer: string;
  readonly words: readonly string[];
}

export interface Inside extends PackerCall {
  /** The directory that the workspace which becomes the image sees too. */
  readonly exchange: string;
  readonly port: number;
  /** Where Packer finds its key. */
  readonly keyFile: string;
}

/** Runs Packer to its end and becomes its exit code. */
export async function runInside(o: Inside): Promise<void> {
  const target = new Target(o.exchange);
  // Packer's first command is not the first one of all: that a shell answers is known by now.
  await target.run(":");
  const server = makeSshServer(target);
  await writeFile(o.keyFile, server.clientKey, { mode: 0o600 });
  await chmod(o.keyFile, 0o600);
  await server.listen(o.port, "127.0.0.1");
  const code = await seenThrough(o);
  server.close();
  target.close();
  process.exit(code);
}

export interface Alone extends PackerCall {
  /** A file to make of what a variable says, for Packer alone to read. */
  readonly secret: { readonly variable: string; readonly file: string } | null;
}

/** The same without a server: what Packer provisions is not on this host. */
export async function runAlone({ secret, ...call }: Alone): Promise<void> {
  if (secret !== null) {
    await writeFile(secret.file, process.env[secret.variable] ?? "", { mode: 0o600 });
    delete process.env[secret.variable];
  }
  process.exit(await seenThrough(call));
}

/** Its exit code. Asked to end, it is: in order, for it may have things to remove. */
async function seenThrough({ packer, words }: PackerCall): Promise<number> {
  await allowOldKeys();
  const child = spawn(packer, words, { stdio: ["ignore", "inherit", "inherit"], detached: true });
  // To its process alone it would be ignored.
  process.on("SIGTERM", () => child.pid !== undefined && process.kill(-child.pid, "SIGINT"));
  return new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (ended) => resolve(ended ?? 1));
  });
}

/**
 * Ansible's ssh goes to a proxy of Packer's, which in some versions has an RSA key by SHA-1 and nothing else. At this
 * loopback is nobody but those two.
 */
async function allowOldKeys(): Promise<void> {
  const dir = join(homedir(), ".ssh");
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const settings = "Host 127.0.0.1\n  HostKeyAlgorithms +ssh-rsa\n  PubkeyAcceptedAlgorithms +ssh-rsa\n";
  await appendFile(join(dir, "config"), settings, { mode: 0o600 });
}
