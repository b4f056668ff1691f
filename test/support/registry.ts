/** A registry of images on loopback, the one that Debian has: `docker-registry`. */
import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { execa } from "execa";
import { Missing, unpacked } from "./debian.ts";
import { programPath } from "./programs.ts";
import { type TempDir, tempDir } from "./temp.ts";

export interface RegistryOptions {
  /** A line of htpasswd; left out: anybody may do anything. */
  readonly htpasswd?: string;
}

export class Registry implements AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** For TOROID_REGISTRIES: it speaks plain HTTP. */
  readonly registriesFile: string;
  readonly dir: string;
  readonly #cleanup: AsyncDisposableStack;

  private constructor(address: string, registriesFile: string, dir: TempDir, cleanup: AsyncDisposableStack) {
    this.address = address;
    this.registriesFile = registriesFile;
    this.dir = dir.path;
    this.#cleanup = cleanup;
  }

  static async start(o: RegistryOptions = {}): Promise<Registry> {
    await using building = new AsyncDisposableStack();
    const dir = building.use(await tempDir("toroid-registry-"));
    await writeFile(join(dir.path, "htpasswd"), `${o.htpasswd ?? ""}\n`);
    const auth = { auth: { htpasswd: { realm: "test", path: join(dir.path, "htpasswd") } } };
    const config = {
      version: 0.1,
      log: { level: "info", formatter: "json", accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(dir.path, "data") }, delete: { enabled: true } },
      http: { addr: "127.0.0.1:0" },
      ...(o.htpasswd === undefined ? {} : auth),
    };
    // YAML is more than JSON.
    await writeFile(join(dir.path, "config.yml"), JSON.stringify(config));
    const child = spawn(await registryProgram(), ["serve", join(dir.path, "config.yml")], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: process.env["PATH"], HOME: dir.path, OTEL_TRACES_EXPORTER: "none" },
    });
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    building.defer(async () => {
      child.kill("SIGKILL");
      await exited;
    });
    const address = await addressOf(child.stderr);
    const registriesFile = join(dir.path, "registries.conf");
    await writeFile(registriesFile, insecure(address));
    return new Registry(address, registriesFile, dir, building.move());
  }

  /** Puts an image of a layout there; answers how it is called. */
  async push(layout: string, name: string, login: readonly string[] = []): Promise<string> {
    const to = `${this.address}/${name}`;
    const words = ["copy", "--all", "--quiet", "--dest-tls-verify=false", ...login, `oci:${layout}`, `docker://${to}`];
    await execa("skopeo", ["--insecure-policy", ...words], { cwd: this.dir, env: { HOME: this.dir } });
    return to;
  }

  /** Where the registry keeps a blob. */
  blob(digest: string): string {
    const [algorithm = "", hex = ""] = digest.split(":");
    return join(this.dir, "data/docker/registry/v2/blobs", algorithm, hex.slice(0, 2), hex, "data");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }
}

/** Installed, or unpacked and not installed: Debian's package starts one as a service. */
async function registryProgram(): Promise<string> {
  const installed = programPath("docker-registry");
  return installed ?? join(await unpacked("docker-registry", ["docker-registry"]), "usr", "bin", "docker-registry");
}

/** A registry, or a sentence when this machine has none. */
export async function registryOrWhyNot(): Promise<Registry | string> {
  try {
    return await Registry.start();
  } catch (error) {
    if (error instanceof Missing) return `needs Debian's docker-registry: ${error.message}`;
    throw error;
  }
}

/** A `registries.conf` in which these speak plain HTTP. */
export function insecure(...addresses: readonly string[]): string {
  return addresses.map((address) => `[[registry]]\nlocation = "${address}"\ninsecure = true\n`).join("\n");
}

async function addressOf(log: NodeJS.ReadableStream): Promise<string> {
  const lines = createInterface({ input: log });
  const heard: string[] = [];
  return new Promise((resolve, reject) => {
    lines.on("line", (line) => {
      heard.push(line);
      const [, address] = /listening on (127\.0\.0\.1:\d+)/.exec(line) ?? [];
      if (address !== undefined) resolve(address);
    });
    lines.once("close", () => reject(new Error(`docker-registry does not start:\n${heard.join("\n")}`)));
  });
}
