/** SFTP by a real client, into a shell that waits as the one of an image does. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import ssh2, { type SFTPWrapper } from "ssh2";
import { agentText, EXCHANGE_DIR } from "../../../../executor/images/packer/agent.ts";
import { makeSshServer } from "../../../../executor/images/packer/inside/server.ts";
import { Target } from "../../../../executor/images/packer/inside/target.ts";
import { makePipe } from "../../../../executor/workspace/pipe.ts";
import { type TempDir, tempDir } from "../../../support/temp.ts";

const T = { timeout: 60_000 };

class SftpRig implements AsyncDisposable {
  readonly sftp: SFTPWrapper;
  readonly client: ssh2.Client;
  readonly #dir: TempDir;
  readonly #end: () => Promise<void>;

  private constructor(dir: TempDir, client: ssh2.Client, sftp: SFTPWrapper, end: () => Promise<void>) {
    this.#dir = dir;
    this.client = client;
    this.sftp = sftp;
    this.#end = end;
  }

  static async start(): Promise<SftpRig> {
    const dir = await tempDir("toroid-sftp-");
    const exchange = join(dir.path, "exchange");
    await Promise.all([mkdir(exchange), mkdir(join(dir.path, "home"))]);
    await makePipe(join(exchange, "requests"));
    const target = new Target(exchange);
    const script = agentText().replaceAll(EXCHANGE_DIR, exchange);
    const env = { PATH: process.env["PATH"], HOME: join(dir.path, "home"), LC_ALL: "C" };
    const agent = spawn("/bin/sh", ["-c", script], { env, stdio: ["ignore", "inherit", "inherit"] });
    const server = makeSshServer(target);
    const port = await freePort();
    await server.listen(port, "127.0.0.1");
    const client = new ssh2.Client();
    client.connect({ host: "127.0.0.1", port, username: "root", privateKey: server.clientKey });
    await once(client, "ready");
    const sftp = await call<SFTPWrapper>(client, "sftp");
    return new SftpRig(dir, client, sftp, async () => {
      client.end();
      server.close();
      target.close();
      await once(agent, "exit");
    });
  }

  /** A place beside the shell's home. */
  path(name: string): string {
    return join(this.#dir.path, "home", name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
    await this.#dir[Symbol.asyncDispose]();
  }
}

/** A method that tells its end to a callback. */
function call<T = void>(on: object, method: string, ...args: readonly unknown[]): Promise<T> {
  return new Promise((resolve, reject) => {
    const told = (error: Error | null | undefined, value: T): void => (error ? reject(error) : resolve(value));
    Reflect.apply(Reflect.get(on, method) as (...all: unknown[]) => void, on, [...args, told]);
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}

test("files go both ways whole, whatever is in them, with their modes", T, async () => {
  await using rig = await SftpRig.start();
  const { sftp } = rig;
  const big = Buffer.alloc(700_001, "0123456789\n\0é");
  const [from, to] = [rig.path("from"), rig.path("it's -a copy")];
  await writeFile(from, big);
  // 64 pieces at once, none waiting for the one before it.
  await call(sftp, "fastPut", from, to, { mode: 0o750 });
  assert.deepEqual(await readFile(to), big);
  assert.equal((await stat(to)).mode & 0o777, 0o750);
  await call(sftp, "fastGet", to, rig.path("back"));
  assert.deepEqual(await readFile(rig.path("back")), big);
  await call(sftp, "writeFile", to, "");
  assert.equal((await stat(to)).size, 0);
  await call(sftp, "appendFile", to, "more");
  await call(sftp, "appendFile", "-odd", "in the home");
  assert.equal(await readFile(to, "utf8"), "more");
  assert.equal(await readFile(rig.path("-odd"), "utf8"), "in the home");
});

test("a mode that is set before the file is closed is set, and all of the file is there by then", T, async () => {
  await using rig = await SftpRig.start();
  const { sftp } = rig;
  const path = rig.path("script");
  const handle = await call<Buffer>(sftp, "open", path, "w");
  const data = Buffer.from("#!/bin/sh\n");
  await call(sftp, "write", handle, data, 0, data.length, 0);
  await call(sftp, "chmod", path, 0o755);
  assert.equal(await readFile(path, "utf8"), "#!/bin/sh\n");
  await call(sftp, "write", handle, data, 0, 2, data.length);
  await call(sftp, "close", handle);
  assert.equal(await readFile(path, "utf8"), "#!/bin/sh\n#!");
  assert.equal((await stat(path)).mode & 0o777, 0o755);
});

test("directories and links are made, listed, renamed and removed", T, async () => {
  await using rig = await SftpRig.start();
  const { sftp } = rig;
  await call(sftp, "mkdir", rig.path("d"), { mode: 0o700 });
  for (let n = 0; n < 60; n++) await writeFile(rig.path(`d/${n}`), String(n));
  await call(sftp, "symlink", "nowhere", rig.path("d/.link"));
  const names = (await call<{ filename: string }[]>(sftp, "readdir", rig.path("d"))).map(({ filename }) => filename);
  assert.deepEqual(names.sort(), [".link", ...Array.from({ length: 60 }, (_, n) => String(n))].sort());
  assert.equal(await call(sftp, "readlink", rig.path("d/.link")), "nowhere");
  assert.equal(await call(sftp, "realpath", "d/../d/5"), rig.path("d/5"));
  const attributes = await call<ssh2.Stats>(sftp, "lstat", rig.path("d/.link"));
  assert.ok(attributes.isSymbolicLink());
  assert.ok((await call<ssh2.Stats>(sftp, "stat", rig.path("d"))).isDirectory());
  await call(sftp, "rename", rig.path("d/5"), rig.path("five"));
  await assert.rejects(call(sftp, "rename", rig.path("d/6"), rig.path("five")));
  await call(sftp, "unlink", rig.path("five"));
  await assert.rejects(call(sftp, "rmdir", rig.path("d")), /not empty/);
  await call(sftp, "utimes", rig.path("d/6"), 1_000, 2_000);
  assert.equal((await stat(rig.path("d/6"))).mtimeMs, 2_000_000);
});

test("what cannot be is refused with the image's own words, when it is asked for", T, async () => {
  await using rig = await SftpRig.start();
  const { sftp } = rig;
  const open = (path: string, flags: string): Promise<Buffer> => call(sftp, "open", path, flags);
  const isMissing = (error: Error): boolean => "code" in error && error.code === 2;
  await assert.rejects(open(rig.path("no/such/dir"), "w"), isMissing);
  await assert.rejects(open(rig.path("nothing"), "r"), isMissing);
  await assert.rejects(open(rig.path("nothing"), "r+"), isMissing);
  await assert.rejects(call(sftp, "stat", rig.path("nothing")), isMissing);
  await mkdir(rig.path("dir"));
  await assert.rejects(open(rig.path("dir"), "w"), /Is a directory/i);
  await assert.rejects(call(sftp, "mkdir", rig.path("dir")), /exists/);
  await writeFile(rig.path("there"), "");
  await assert.rejects(open(rig.path("there"), "wx"));
  await assert.rejects(call(sftp, "close", Buffer.from("none")), /no such handle/);
});

test("a client that goes in the middle of a file ends what it had open", T, async () => {
  await using rig = await SftpRig.start();
  const { sftp } = rig;
  const path = rig.path("half");
  const handle = await call<Buffer>(sftp, "open", path, "w");
  await call(sftp, "write", handle, Buffer.from("half"), 0, 4, 0);
  const closed = once(sftp, "close");
  sftp.end();
  await closed;
  assert.equal(await readFile(path, "utf8"), "half");
  await chmod(path, 0o600); // nobody holds it, and the server goes on
  const again = await call<SFTPWrapper>(rig.client, "sftp");
  assert.equal((await call<ssh2.Stats>(again, "stat", path)).size, 4);
});
