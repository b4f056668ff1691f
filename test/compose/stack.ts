/** docker-compose.yml of this checkout on an engine of the test's own. */
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { execa } from "execa";
import { debianImage, Missing, program, unpacked } from "../support/debian.ts";
import { type Engine, Engines } from "../support/docker.ts";
import { type TempDir, tempDir } from "../support/temp.ts";
import { CLASSIC, docker, makeImages } from "./images.ts";

const PROJECT = join(import.meta.dirname, "..", "..");
const PYTHON = "/usr/bin/python3";
const COMPOSE = [
  "docker-compose",
  "python3-attr",
  "python3-certifi",
  "python3-chardet",
  "python3-charset-normalizer",
  "python3-distro",
  "python3-docker",
  "python3-dockerpty",
  "python3-docopt",
  "python3-dotenv",
  "python3-idna",
  "python3-jsonschema",
  "python3-pyrsistent",
  "python3-requests",
  "python3-six",
  "python3-texttable",
  "python3-urllib3",
  "python3-websocket",
  "python3-yaml",
];
/** Of a host whose controllers are not in cgroup v2; its own containers' engine shows it none. */
const WEAK_ON_CGROUP1 = "no-cgroup,no-limit-memoryBytes,no-limit-pids,no-limit-cpuMilli";
/** A build needs the registries, which are reached from the host's network alone. */
const BUILD_HERE = `services:
  coordinator-1: { build: { context: ., network: host } }
`;

export class Stack implements AsyncDisposable {
  readonly engine: Engine;
  readonly #compose: Compose;
  readonly #kept: AsyncDisposableStack;

  private constructor(engine: Engine, compose: Compose, kept: AsyncDisposableStack) {
    this.engine = engine;
    this.#compose = compose;
    this.#kept = kept;
  }

  /**
   * Makes the images, and builds ours by the Dockerfile.
   *
   * @throws {Missing} where a part of it cannot be had
   */
  static async build(say: (line: string) => void): Promise<Stack> {
    await using undo = new AsyncDisposableStack();
    const dir = undo.use(await tempDir("toroid-compose-"));
    if (!existsSync(PYTHON)) await program("python3");
    if (!existsSync(PYTHON)) throw new Missing(`${PYTHON}, for which docker-compose is written, is not there`);
    const tools = await unpacked("docker-compose", COMPOSE);
    await debianImage();
    const at = { dir: join(dir.path, "engine"), cgroup: `toroid-compose-${process.pid}` };
    const engines = undo.use(new Engines(at));
    await buildImages(engines, tools, dir, say);
    const engine = undo.use(await engines.start("bridges").catch(missing));
    return new Stack(engine, composeBy(tools, engine, [join(PROJECT, "docker-compose.yml")]), undo.move());
  }

  /** @returns what it printed on standard output */
  compose(words: readonly string[]): Promise<string> {
    return this.#compose(words);
  }

  docker(words: readonly string[]): Promise<string> {
    return docker(this.engine, words);
  }

  /** Of a service, in their order. */
  async containers(service: string): Promise<readonly Container[]> {
    const ids = (await this.compose(["ps", "-q", service])).split("\n").filter(Boolean);
    return ids.length === 0 ? [] : (JSON.parse(await this.docker(["inspect", ...ids])) as Container[]);
  }

  /** The only one of a service. */
  async container(service: string): Promise<Container> {
    const [one] = await this.containers(service);
    if (one === undefined) throw new Error(`there is no container of ${service}`);
    return one;
  }

  /** Kills its first process, as a crash would: whether it comes back is for the restart policy. */
  async crash({ State: { Pid } }: Container): Promise<void> {
    await this.#enter(["--pid", "--mount"], ["sh", "-c", `kill -9 ${Pid}`]);
  }

  /** As a client on the same machine has it: by ports that are published on loopback. */
  async get(url: string): Promise<unknown> {
    const ask =
      "fetch(process.argv[1]).then(async (it) => { if (!it.ok) throw it; process.stdout.write(await it.text()) })";
    return JSON.parse(await this.#enter(["--net"], [process.execPath, "-e", ask, url])) as unknown;
  }

  /** Runs a script of this folder where published ports are on loopback. */
  async script(name: string, ...words: readonly string[]): Promise<unknown> {
    return JSON.parse(
      await this.#enter(["--net"], [process.execPath, join(import.meta.dirname, name), ...words]),
    ) as unknown;
  }

  async #enter(namespaces: readonly string[], words: readonly string[]): Promise<string> {
    const { stdout } = await execa("nsenter", ["--target", String(this.engine.pid), ...namespaces, ...words], {
      stdin: "ignore",
      timeout: 150_000,
    });
    return stdout;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#kept.disposeAsync();
  }
}

/** What the tests read of `docker inspect`. */
export interface Container {
  readonly Id: string;
  readonly Name: string;
  readonly RestartCount: number;
  readonly State: { readonly Pid: number; readonly Status: string; readonly Health?: { readonly Status: string } };
  readonly HostConfig: { readonly Privileged: boolean; readonly CapAdd: readonly string[] | null };
  readonly NetworkSettings: {
    readonly Ports: Readonly<Record<string, readonly { readonly HostIp: string }[] | null>>;
    readonly Networks: Readonly<Record<string, { readonly IPAddress: string }>>;
  };
}

async function buildImages(engines: Engines, tools: string, dir: TempDir, say: (line: string) => void): Promise<void> {
  await using engine = await engines.start("host").catch(missing);
  const contexts = join(dir.path, "images");
  await mkdir(contexts);
  await makeImages(engine, contexts, say);
  const here = join(dir.path, "build.yml");
  await writeFile(here, BUILD_HERE);
  const build = composeBy(tools, engine, [join(PROJECT, "docker-compose.yml"), here]);
  // Said as it goes: it may take longer than a runner of tests is patient with one that says nothing.
  await build(["build", "--force-rm", "coordinator-1"], (line) => line.startsWith("Step ") && say(line.slice(0, 100)));
  await engine.stop();
}

function missing(error: Error): never {
  throw new Missing(error.message, { cause: error });
}

type Compose = (words: readonly string[], heard?: (line: string) => void) => Promise<string>;

function composeBy(tools: string, engine: Engine, files: readonly string[]): Compose {
  const words = files.flatMap((file) => ["-f", file]);
  const env = {
    ...CLASSIC,
    DOCKER_HOST: engine.host,
    PYTHONPATH: join(tools, "usr", "lib", "python3", "dist-packages"),
    PYTHONUNBUFFERED: "1",
    COMPOSE_PROJECT_NAME: "toroid",
    COMPOSE_HTTP_TIMEOUT: "200",
    TOROID_SLOTS: "2",
    ...(existsSync("/sys/fs/cgroup/cgroup.controllers") ? {} : { TOROID_ALLOW_WEAK: WEAK_ON_CGROUP1 }),
  };
  const script = join(tools, "usr", "bin", "docker-compose");
  return async (asked, heard) => {
    const line = [script, ...words, "--project-directory", PROJECT, ...asked];
    const running = execa(PYTHON, line, { env, stdin: "ignore" });
    if (heard !== undefined) createInterface({ input: running.stdout }).on("line", heard);
    return (await running).stdout;
  };
}
