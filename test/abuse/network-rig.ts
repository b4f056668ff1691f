/**
 * A host and a world of the test's own, as network namespaces: nothing of the machine's network is touched or used.
 *
 * The host has one link, to the world, and everything that a pool is made of: bridge, rules, forwarding. The world answers
 * on public addresses, on private ones and where clouds keep their metadata; it knows no way to a slot's address, so
 * that it hears of nobody but the host.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { type Namespace, namespace } from "../support/namespace.ts";
import { missing } from "../support/skips.ts";
import { compileAttempts, HELPER, NEEDS, type Outcome, type Rig, type Running, rig } from "./rig.ts";

export const NETWORK_NEEDS = {
  ...NEEDS,
  program: ["ip", "nft", "nsenter", "unshare", "bash", "cc"],
  path: [HELPER, "/proc/net/nf_conntrack"],
} as const;

export const HOST = "198.51.100.2";
export const PUBLIC = "203.0.113.10";
export const OTHER = "203.0.113.20";
export const PRIVATE = "192.168.77.10";
export const OPENED = "172.20.5.5";
export const RESOLVER = "10.99.0.53";
export const METADATA = "169.254.169.254";
export const BRIDGE = "10.213.0.1";
export const slotAddress = (slot: number): string => `10.213.0.${slot + 2}`;

/** Answers everybody with its name and with the address that they seem to have; port 53 too. */
const SERVICE = `
const { createServer } = require("node:net");
const name = process.argv[1];
const ports = process.argv.slice(2);
let left = ports.length;
for (const port of ports)
  createServer((caller) => caller.on("error", () => {}).end(name + " " + (caller.remoteAddress ?? "gone").replace("::ffff:", "") + "\\n"))
    .listen(Number(port), "::", () => (left -= 1) === 0 && console.log("ready"));
`;

export interface Serving extends AsyncDisposable {
  readonly pid: number;
}

export async function serve(where: Namespace, name: string, ports: readonly number[]): Promise<Serving> {
  const [program = "", ...words] = where.enter;
  const child = spawn(program, [...words, process.execPath, "-e", SERVICE, name, ...ports.map(String)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  await once(child.stdout, "data");
  return {
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Prints each datagram that comes. */
const LISTENER = `
const socket = require("node:dgram").createSocket({ type: "udp4" });
socket.on("message", (data, from) => console.log(from.address + " " + String(data).trim()));
socket.bind(Number(process.argv[1]), () => console.log("ready"));
`;

export interface Listening extends AsyncDisposable {
  /** What was heard so far: sender and text of each datagram. */
  heard(): readonly string[];
}

export async function listen(where: Namespace, port: number): Promise<Listening> {
  const [program = "", ...words] = where.enter;
  const child = spawn(program, [...words, process.execPath, "-e", LISTENER, String(port)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => (said += chunk.toString()));
  await once(child.stdout, "data");
  return {
    heard: () => said.split("\n").slice(1, -1),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

export class NetworkRig implements AsyncDisposable {
  readonly host: Namespace;
  readonly world: Namespace;
  readonly sandbox: Rig;
  /** Where the pool is. */
  readonly state: string;
  readonly #cleanup: AsyncDisposableStack;

  private constructor(host: Namespace, world: Namespace, sandbox: Rig, cleanup: AsyncDisposableStack) {
    this.host = host;
    this.world = world;
    this.sandbox = sandbox;
    this.state = join(sandbox.dir, "net");
    this.#cleanup = cleanup;
  }

  /** Undefined where the tests that stand on it are skipped. */
  static async start(): Promise<NetworkRig | undefined> {
    if (missing(NETWORK_NEEDS) !== undefined) return undefined;
    await using building = new AsyncDisposableStack();
    const world = building.use(await namespace());
    const host = building.use(await namespace());
    const worldPid = world.enter[2] ?? "";
    await host.sh(`
      ip link add uplink type veth peer name uplink netns ${worldPid}
      ip addr add ${HOST}/24 dev uplink
      ip -6 addr add fd00:ec2::1/64 dev uplink nodad
      ip link set uplink up
      ip route add default via 198.51.100.1`);
    await world.sh(`
      for address in 198.51.100.1/24 ${PUBLIC}/32 ${OTHER}/32 ${PRIVATE}/32 ${OPENED}/32 ${RESOLVER}/32 ${METADATA}/16; do
        ip addr add $address dev uplink
      done
      ip -6 addr add fd00:ec2::254/64 dev uplink nodad
      ip link set uplink up`);
    building.use(await serve(world, "world", [53, 80]));
    building.use(await serve(host, "host", [8080]));
    const sandbox = building.use(await rig(host.enter));
    await mkdir(join(sandbox.dir, "net"), { mode: 0o700 });
    const made = new NetworkRig(host, world, sandbox, building.move());
    assert.equal(await made.host.sh(`bash -c 'cat </dev/tcp/${METADATA}/80'`), `world ${HOST}`);
    return made;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.disposeAsync();
  }

  /** The helper, on the rig's host. */
  async helper(
    words: readonly string[],
  ): Promise<{ readonly code: number | undefined; readonly stderr: string; readonly stdout: string }> {
    const [program = "", ...rest] = this.host.enter;
    const { exitCode, stdout, stderr } = await execa(program, [...rest, HELPER, ...words], { reject: false, env: {} });
    return { code: exitCode, stdout, stderr };
  }

  async up(slots: number, more: readonly string[] = [], state = this.state): Promise<void> {
    const words = ["net", "up", "--state", state, "--slots", String(slots), "--dns", RESOLVER, "--forward", ...more];
    const { code, stderr } = await this.helper(words);
    assert.deepEqual([code, stderr], [0, ""]);
  }

  async down(state = this.state): Promise<void> {
    const { code, stderr } = await this.helper(["net", "down", "--state", state]);
    assert.deepEqual([code, stderr], [0, ""]);
  }

  /** The options that put a run into a slot. */
  slot(number: number, state = this.state): readonly string[] {
    return ["--network", "full", "--netns", join(state, String(number)), "--resolver", join(state, "resolv.conf")];
  }

  /** The options that put a run into a slot with an allow list. */
  only(number: number, hosts: readonly string[], state = this.state): readonly string[] {
    const list = hosts.flatMap((host) => ["--allow-host", host]);
    return ["--network", "full", "--netns", join(state, String(number)), ...list];
  }

  /** Runs a line of bash in a slot; `ask ADDRESS PORT` in it prints what answers, or `closed`, `silent`, `no way`. */
  async run(slot: number, line: string, options: readonly string[] = []): Promise<Outcome> {
    return this.bash([...this.slot(slot), ...options], line);
  }

  /** The same, in the network that the options say. */
  async bash(options: readonly string[], line: string): Promise<Outcome> {
    return this.sandbox.run(options, ["bash", "-c", `${ASK}\n${line}`]);
  }

  /** Starts attempts of `attempts.c` in a slot. */
  async attempts(slot: number, names: readonly string[], options: readonly string[] = []): Promise<Running> {
    return this.attemptsIn([...this.slot(slot), ...options], names);
  }

  /** The same, in the network that the options say. */
  async attemptsIn(options: readonly string[], names: readonly string[]): Promise<Running> {
    const bind = ["--bind", `${await compileAttempts(this.sandbox.dir)}:/attempts:ro`];
    return this.sandbox.start([...bind, ...options], ["/attempts/attempts", ...names]);
  }

  /** What those answer, asked from a slot. */
  async ask(
    slot: number | readonly string[],
    places: readonly (readonly [string, number])[],
  ): Promise<readonly string[]> {
    const options = typeof slot === "number" ? this.slot(slot) : slot;
    const { stdout } = await this.bash(options, places.map(([address, port]) => `ask ${address} ${port}`).join("\n"));
    return stdout.trim().split("\n");
  }

  /** All of the host's network that a pool could leave something in. */
  async traces(): Promise<string> {
    return this.host.sh(
      `ip -o link | cut -d: -f2 | cut -d@ -f1; ip -4 route; nft list ruleset; grep -c ' nsfs ' /proc/self/mounts || true; find ${this.sandbox.dir} -path '*net*'`,
    );
  }

  /** The host's memory of connections from slots. */
  async connections(): Promise<string> {
    return this.host.sh("grep -F src=10.213. /proc/net/nf_conntrack || true");
  }

  /** The sockets of a slot, the dying among them. */
  async sockets(slot: number): Promise<string> {
    const file = join(this.state, String(slot));
    return this.host.sh(
      `nsenter --net=${file} sh -c "tail -n +2 -q /proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/unix"`,
    );
  }
}

const ASK = `
ask() {
  answer=$(timeout 4 bash -c 'exec 3<>"/dev/tcp/$0/$1" && cat <&3' "$1" "$2" 2>&1)
  case $?:$answer in
    0:*) echo "$answer" ;;
    124:*) echo silent ;;
    *"No route to host"* | *"Connection refused"*) echo closed ;;
    *"Network is unreachable"*|*"Cannot assign"*) echo no way ;;
    *) echo "$answer" | tail -n 1 ;;
  esac
}`;
