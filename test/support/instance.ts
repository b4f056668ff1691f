import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import ssh2 from "ssh2";
import { agentText } from "../../executor/images/packer/agent.ts";
import { acceptSessions, opens } from "../../executor/images/packer/inside/server.ts";
import { Target } from "../../executor/images/packer/inside/target.ts";
import { makePipe } from "../../executor/workspace/pipe.ts";
import { tempDir } from "./temp.ts";
import { weakHere } from "./weak.ts";

/**
 * A machine behind the instances of an EC2-compatible server, which has none: an SSH server whose commands run as root
 * in a root of its own, with this host's below, that lets in who has one of `keys`.
 */
export class Instance implements AsyncDisposable {
  readonly port: number;
  readonly #target: Target;
  readonly #cleanup: AsyncDisposableStack;

  private constructor(port: number, target: Target, cleanup: AsyncDisposableStack) {
    this.port = port;
    this.#target = target;
    this.#cleanup = cleanup;
  }

  /** @param keys public ones, as they are known when somebody comes */
  static async start(sandbox: string, keys: () => readonly string[]): Promise<Instance> {
    await using cleanup = new AsyncDisposableStack();
    const dir = cleanup.use(await tempDir("toroid-instance-"));
    const [exchange, agent] = [join(dir.path, "exchange"), join(dir.path, "agent")];
    await mkdir(exchange, { mode: 0o755 });
    await mkdir(agent, { mode: 0o755 });
    await makePipe(join(exchange, "requests"));
    await writeFile(join(agent, "agent"), agentText());
    const scratch = join(dir.path, "scratch");
    await mkdir(scratch, { mode: 0o700 });
    const words = ["run", "--image", "host", "--keep-scratch", "--scratch", scratch, "--network", "none"];
    words.push("--bind", `${exchange}:/toroid/exchange:ro`, "--bind", `${agent}:/toroid/agent:ro`, "--cwd", "/");
    words.push("--env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "--env", "HOME=/root", "--hostname", "instance");
    words.push("--wall-ms", "600000", ...weakHere().flatMap((name) => ["--allow-weak", name]));
    words.push("--parent-pid", String(process.pid), "--", "/bin/sh", "/toroid/agent/agent");
    const machine = spawn(sandbox, words, { stdio: ["ignore", "ignore", "inherit"] });
    const ended = new Promise<void>((resolve) => machine.once("close", () => resolve()));
    cleanup.defer(async () => {
      machine.kill("SIGTERM");
      machine.kill("SIGINT");
      await ended;
    });
    const target = new Target(exchange);
    cleanup.defer(() => target.close());
    await target.run(":");
    const server = new ssh2.Server({ hostKeys: [hostKey()] }, (connection) => {
      connection.on("error", () => undefined);
      connection.on("authentication", (context) => {
        const known = keys().map((key) => ssh2.utils.parseKey(key));
        const mayEnter = known.some((key) => !(key instanceof Error) && opens(key, context));
        return mayEnter ? context.accept() : context.reject(["publickey"]);
      });
      connection.on("ready", () => acceptSessions(connection, target));
    });
    const sockets = createServer({ noDelay: true }, (socket) => server.injectSocket(socket));
    await new Promise<void>((resolve) => sockets.listen(0, "127.0.0.1", resolve));
    cleanup.defer(() => new Promise<void>((resolve) => sockets.close(() => resolve())));
    return new Instance((sockets.address() as AddressInfo).port, target, cleanup.move());
  }

  /** What a command prints there. */
  async run(command: string): Promise<string> {
    const { code, stdout, stderr } = await this.#target.run(command);
    if (code !== 0) throw new Error(`${command}: ${code}: ${stderr}`);
    return stdout.toString("utf8");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}

/** ssh2 cuts zeros off the beginning of keys, so one in some hundred cannot be read: then another is made. */
function hostKey(): string {
  for (;;) {
    const made = ssh2.utils.generateKeyPairSync("ed25519");
    if (!(ssh2.utils.parseKey(made.private) instanceof Error)) return made.private;
  }
}
