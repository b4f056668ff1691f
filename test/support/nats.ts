import { join } from "node:path";
import { findNatsServer, type RunningNatsServer, startNatsServer } from "../../kit/nats-server.ts";
import { type TempDir, tempDir } from "./temp.ts";

const CACHE = join(import.meta.dirname, "..", "..", ".toroid", "cache");

export interface NatsServerSettings {
  /** As production has it; tests of behaviour do well without and are faster. */
  readonly syncAlways?: boolean;
  readonly maxFileBytes?: number;
}

/** A real nats-server with JetStream: own port, own directory, gone at the end of the block that holds it. */
export class NatsServer implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #binary: string;
  readonly #settings: NatsServerSettings;
  #running: RunningNatsServer;

  private constructor(dir: TempDir, binary: string, settings: NatsServerSettings, running: RunningNatsServer) {
    this.#dir = dir;
    this.#binary = binary;
    this.#settings = settings;
    this.#running = running;
  }

  static async start(settings: NatsServerSettings = {}): Promise<NatsServer> {
    const { path } = await findNatsServer(CACHE, (line) => console.error(line));
    const dir = await tempDir("toroid-nats-");
    try {
      return new NatsServer(dir, path, settings, await launch(path, dir.path, 0, settings));
    } catch (error) {
      await dir[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The same through restarts. */
  get url(): string {
    return this.#running.url;
  }

  get port(): number {
    return this.#running.port;
  }

  get pid(): number {
    return this.#running.pid;
  }

  /** Stops it in order, or starts it after a kill, on the same port with the same data. */
  async restart(): Promise<void> {
    const { port } = this.#running;
    await this.#running.stop();
    this.#running = await launch(this.#binary, this.#dir.path, port, this.#settings);
  }

  /** Stops it, does something with what it stores, and starts it again. */
  async whileStopped(act: (storeDir: string) => Promise<void>): Promise<void> {
    const { port } = this.#running;
    await this.#running.stop();
    await act(join(this.#dir.path, "store"));
    this.#running = await launch(this.#binary, this.#dir.path, port, this.#settings);
  }

  /** Sends a signal; for one that ends it, resolves when it is gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    this.#running.kill(signal);
    if (signal !== "SIGSTOP" && signal !== "SIGCONT") await this.#running.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#running.kill("SIGKILL");
    await this.#running.exited;
    await this.#dir[Symbol.asyncDispose]();
  }
}

function launch(
  binary: string,
  dir: string,
  port: number,
  { syncAlways = false, maxFileBytes = 1024 ** 3 }: NatsServerSettings,
): Promise<RunningNatsServer> {
  return startNatsServer({
    binary,
    storeDir: join(dir, "store"),
    host: "127.0.0.1",
    port,
    syncAlways,
    maxFileBytes,
    name: "toroid-test",
  });
}
