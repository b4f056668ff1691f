/**
 * The sandbox as an executor has it: a `serve` that alone keeps privilege, and a client of it. Started by root, we start
 * `serve` and become a user of our own for good; started by anybody else, we are the client of one that is there.
 */
import { createHash } from "node:crypto";
import { mkdir, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { isAbsolute, join } from "node:path";
import type { Logger } from "../kit/log.ts";
import { ToroidError } from "../protocol/errors.ts";
import type { ArtifactStore } from "./artifacts/store.ts";
import { type Config, SLOTS_MOST } from "./config.ts";
import { findPacker, layTools, toolsIn } from "./images/packer/tools.ts";
import { networkOptions } from "./network.ts";
import { SandboxClient } from "./sandbox/client.ts";
import type { Ready } from "./sandbox/request.ts";
import { Serve } from "./sandbox/serve.ts";
import { become, type ServiceUser, userFor } from "./sandbox/user.ts";
import {
  assertUsable,
  giveArtifacts,
  handOver,
  makeDirs,
  makeRootDirs,
  type RootDirs,
  type StateDirs,
  stateDirs,
  takeState,
} from "./state.ts";
import { removeTree } from "./trees.ts";

export interface Sandbox extends AsyncDisposable {
  readonly client: SandboxClient;
  readonly ready: Ready;
  readonly dirs: StateDirs;
  /** How many stages may run at once. */
  readonly slots: number;
  /** What Packer's workspace is shown of this host; null: there is no Packer. */
  readonly packer: string | null;
}

/** Where sockets have short paths: the kernel takes about 100 bytes. */
const SOCKETS = "/run";

/**
 * From here on nothing of this process is root's.
 *
 * @throws {ToroidError} TOR_NOT_ROOT, TOR_CONFIG_INVALID, TOR_ADDRESS_IN_USE, TOR_SANDBOX_SETUP
 */
export async function openSandbox(config: Config, store: ArtifactStore, log: Logger): Promise<Sandbox> {
  await using undo = new AsyncDisposableStack();
  const { lock, real } = await takeState(config.stateDir);
  undo.use(lock);
  const dirs = stateDirs(real);
  const isRoot = process.geteuid?.() === 0;
  const program = await findPacker(config.packer, process.env["PATH"] ?? "");
  const { client, tools } = isRoot
    ? await startServe(config, real, { dirs, program, store }, undo, log)
    : await joinServe(config, real, { dirs, program, store }, log);
  await checkAccess(config, dirs, store);
  const ready = await client.hello();
  const kept = undo.move();
  return {
    client,
    ready,
    dirs,
    slots: slotsOf(config, ready, isRoot),
    packer: tools === null ? null : toolsIn(tools),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** Of the `serve` that an executor started by others than root is a client of. @throws {ToroidError} TOR_NOT_ROOT */
export function socketGiven(config: Config): string {
  if (config.sandboxSocket !== null) return config.sandboxSocket;
  throw new ToroidError(
    "TOR_NOT_ROOT",
    "an executor has to be started by root, and then gives root up; or, by any user, with TOROID_SANDBOX_SOCKET naming the socket of a `toroid-sandbox serve` that root has started for it",
  );
}

interface Given {
  readonly dirs: StateDirs;
  readonly store: ArtifactStore;
  /** Packer, if it is there. */
  readonly program: string | null;
}

interface Served {
  readonly client: SandboxClient;
  /** Where what Packer's workspace is shown was laid out; null: nowhere. */
  readonly tools: string | null;
}

async function joinServe(config: Config, real: string, { dirs, program }: Given, log: Logger): Promise<Served> {
  const client = new SandboxClient(socketGiven(config));
  await makeDirs(dirs);
  return { client, tools: await laidOut(program, toolsDir(real), log) };
}

/** Copies of programs take room. Where there is none, everything but images by Packer goes on. */
async function laidOut(program: string | null, dir: string, log: Logger): Promise<string | null> {
  if (program === null) return null;
  try {
    await layTools(dir, program);
    return dir;
  } catch (err) {
    log.error({ err }, "no image is made by packer: it could not be copied into the state directory");
    await removeTree(dir);
    return null;
  }
}

async function startServe(
  config: Config,
  real: string,
  { dirs, program, store }: Given,
  undo: AsyncDisposableStack,
  log: Logger,
): Promise<Served> {
  const user = serviceUser(config);
  await handOver(real, dirs, user);
  // What it is made of may lie where only root can read.
  const tools = await laidOut(program, toolsDir(real), log);
  const roots = await makeRootDirs(real);
  await mkdir(config.imagesDir, { recursive: true });
  if (config.artifacts.kind === "directory") await giveArtifacts(config.artifacts.path, user);
  else await tryAs(user, real, store);
  const socket = join(
    SOCKETS,
    `toroid-executor-${createHash("sha256").update(real).digest("hex").slice(0, 12)}.socket`,
  );
  const options = await serveOptions(config, { user, dirs, roots, socket, tools });
  const serve = undo.use(
    await Serve.start(config.sandbox, options, (says) => log.warn({ says }, "the sandbox complains")),
  );
  become(user, real);
  const client = new SandboxClient(socket);
  void serve.ended.then((how) => client.lose(how));
  return { client, tools };
}

/**
 * Has the store loaded and its credentials looked for as the user will, who may not be able to read our modules: with
 * its home, and while they can be read.
 */
async function tryAs(user: ServiceUser, home: string, store: ArtifactStore): Promise<void> {
  const ours = process.env["HOME"];
  process.env["HOME"] = user.account?.home ?? home;
  try {
    await store.check();
  } finally {
    if (ours === undefined) delete process.env["HOME"];
    else process.env["HOME"] = ours;
  }
}

/** Who an executor started by root becomes. @throws {ToroidError} TOR_CONFIG_INVALID */
export function serviceUser(config: Config): ServiceUser {
  if (config.sandboxSocket !== null) {
    throw new ToroidError(
      "TOR_CONFIG_INVALID",
      "TOROID_SANDBOX_SOCKET is for an executor that is not started by root: leave it out, or start this one as the user whom serve has as its client",
    );
  }
  const user = userFor(config.user);
  if (user.account !== null || config.git.remote !== "ssh") return user;
  throw new ToroidError(
    "TOR_CONFIG_INVALID",
    `TOROID_GIT_REMOTE is ssh, which wants a user with an account: make one named toroid, or name one by TOROID_USER (now: uid ${user.uid})`,
  );
}

async function serveOptions(
  config: Config,
  o: {
    readonly user: ServiceUser;
    readonly dirs: StateDirs;
    readonly roots: RootDirs;
    readonly socket: string;
    /** Of Packer; null: there is none, and no slot to spare for it. */
    readonly tools: string | null;
  },
): Promise<readonly string[]> {
  const { user, dirs, roots, socket, tools } = o;
  const slots = ownSlots(config);
  const words = ["--socket", socket, "--client-uid", String(user.uid), "--client-gid", String(user.gid)];
  words.push("--state", roots.scratches, "--slots", String(tools !== null ? Math.min(2 * slots, SLOTS_MOST) : slots));
  for (const share of Object.values(dirs)) words.push("--share", share);
  words.push("--images", roots.images, "--images", config.imagesDir);
  if (tools !== null) words.push("--images", tools);
  const { defaultImage } = config;
  if (isAbsolute(defaultImage) && (await isDirectory(defaultImage))) words.push("--images", defaultImage);
  if (config.cgroup !== null) words.push("--cgroup", config.cgroup);
  for (const name of config.allowWeak) words.push("--allow-weak", name);
  return [...words, ...networkOptions(config, roots.networks)];
}

function toolsDir(stateDir: string): string {
  return join(stateDir, "packer");
}

function ownSlots(config: Config): number {
  return config.slots ?? availableParallelism();
}

async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function checkAccess(config: Config, dirs: StateDirs, store: ArtifactStore): Promise<void> {
  await assertUsable("TOROID_EXECUTOR_STATE", dirs.workspaces, "write");
  await store.check();
  await assertUsable("TOROID_IMAGES", config.imagesDir, "read");
  if (config.secrets.dir !== null) await assertUsable("TOROID_SECRETS", config.secrets.dir, "read");
  const { authFile, registriesFile } = config.images;
  if (authFile !== null) await assertUsable("TOROID_REGISTRY_AUTH", authFile, "read");
  if (registriesFile !== null) await assertUsable("TOROID_REGISTRIES", registriesFile, "read");
  if (config.git.configFile !== null) await assertUsable("TOROID_GIT_CONFIG", config.git.configFile, "read");
}

/** @throws {ToroidError} TOR_CONFIG_INVALID when `serve` has fewer than asked for */
function slotsOf(config: Config, ready: Ready, isOurs: boolean): number {
  const slots = config.slots ?? (isOurs ? ownSlots(config) : ready.slots);
  if (slots <= ready.slots) return slots;
  throw new ToroidError(
    "TOR_CONFIG_INVALID",
    `TOROID_SLOTS is ${slots}, and the sandbox's serve was started with ${ready.slots}`,
  );
}
