/** Debian, made by mmdebstrap: a tool that users install. It runs in a workspace of its own, never beside the executor. */
import { createHash, randomBytes } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { ToroidError } from "../../protocol/errors.ts";
import type { BaseImage } from "../../protocol/pipeline/plan.ts";
import { diskFull } from "../checkout/failure.ts";
import { runOptions } from "../workspace/options.ts";
import { BASE } from "../workspace/variables.ts";
import type { SandboxSettings } from "../workspace.ts";
import { type ImageCache, notKept, type Want } from "./cache.ts";
import { findProgram } from "./find-program.ts";
import type { NameRecord } from "./index-files.ts";
import { Refused } from "./oci/refused.ts";
import type { StagePlace } from "./packer.ts";
import { turnOf } from "./turn.ts";

export type DebianImage = Extract<BaseImage, { kind: "debian" }>;

export interface DebianOptions {
  /** null: as mmdebstrap has it. */
  readonly debianMirror: string | null;
  /** How old one may be. */
  readonly debianMs: number;
  readonly workspacesDir: string;
  readonly settings: Pick<SandboxSettings, "allowWeak" | "masks">;
}

/** Raised when the same words would make another image. */
const GENERATION = 1;
const OUT = "/toroid/debian";
const GRACE_MS = 10_000;
/** What of its output tells why it failed. */
const TAIL_BYTES = 4_096;

export class DebianImages {
  readonly #cache: ImageCache;
  readonly #o: DebianOptions;

  constructor(cache: ImageCache, o: DebianOptions) {
    this.#cache = cache;
    this.#o = o;
  }

  /**
   * @throws {Refused} for a suite or a package that is not there
   * @throws {ToroidError} TOR_TOOL_MISSING, TOR_MIRROR_UNREACHABLE, TOR_IMAGE_MISSING, TOR_DISK_FULL
   * @throws the reason of a cancellation
   */
  async make(image: DebianImage, at: StagePlace): Promise<{ readonly root: string; readonly name: string }> {
    const packages = [...new Set(image.packages)].toSorted();
    const shown = ["debian:", image.suite, ...packages.map((name) => `+${name}`)].join("");
    const content = JSON.stringify([GENERATION, image.suite, packages, this.#o.debianMirror, process.arch]);
    const key = createHash("sha256").update(content).digest("hex");
    const there = await this.#remembered(key, at, this.#o.debianMs);
    if (there !== null) return there;
    const signal = AbortSignal.any([at.cancelled, at.abandoned]);
    await using _ = await turnOf(`image ${this.#cache.index.dir} ${shown}`, signal, async () => {
      begin(at);
      await at.log.say(`another stage makes ${shown}; waiting for it`);
    });
    const meanwhile = await this.#remembered(key, at, this.#o.debianMs);
    if (meanwhile !== null) return meanwhile;
    begin(at);
    try {
      return await this.#made({ suite: image.suite, packages, shown, key }, at, signal);
    } catch (error) {
      const old = isUnreachable(error) ? await this.#remembered(key, at, Number.POSITIVE_INFINITY) : null;
      if (old === null) throw await this.#cache.giveWay(error);
      await at.log.say(`the mirror cannot be reached; the stage runs on an older one, ${old.name}`);
      return old;
    }
  }

  async #remembered(
    key: string,
    at: StagePlace,
    mostMs: number,
  ): Promise<{ readonly root: string; readonly name: string } | null> {
    const record = await this.#cache.index.read("names", key);
    if (record === null) return null;
    const ageMs = Date.now() - record.checkedAtMs;
    if (ageMs > mostMs || ageMs < 0) return null;
    const root = await this.#cache.use(record.image, at.hold);
    return root === null ? null : { root, name: nameOf(record) };
  }

  async #made(
    what: {
      readonly suite: string;
      readonly packages: readonly string[];
      readonly shown: string;
      readonly key: string;
    },
    at: StagePlace,
    signal: AbortSignal,
  ): Promise<{ readonly root: string; readonly name: string }> {
    const { shown } = what;
    // Of the time as well: another one of tomorrow takes no directory away from who stands on this.
    const hex = createHash("sha256").update(what.key).update(randomBytes(16)).digest("hex").slice(0, 48);
    const name = `debian-${hex}`;
    const workspace = join(this.#o.workspacesDir, `${randomBytes(8).toString("hex")}-debian`);
    await mkdir(workspace, { mode: 0o700 });
    await using cleanup = new AsyncDisposableStack();
    cleanup.defer(() => at.slot.clear(workspace));
    await mkdir(join(workspace, "out"), { mode: 0o755 });
    await this.#run(what, workspace, at);
    const archive = join(workspace, "out", "image.tar");
    const hash = createHash("sha256");
    const want: Want = { hold: at.hold, signal, waits: async () => undefined };
    const about = { kind: "debian", shown, digest: `sha256:${hex}` } as const;
    const root = await this.#cache.obtain(name, about, want, async (into) => {
      const seen = { packed: () => undefined, plain: (bytes: Uint8Array) => void hash.update(bytes) };
      const unpacked = await this.#cache.hands.unpack({ archive, root: into, isLayer: false, seen });
      if (typeof unpacked !== "string") return unpacked;
      throw notKept(unpacked, () => {
        const message = `the image ${shown} cannot be unpacked: ${unpacked.slice(0, 500)}`;
        return new ToroidError("TOR_IMAGE_MISSING", message, { image: shown });
      });
    });
    const record = { name: shown, digest: `sha256:${hash.digest("hex")}`, image: name, checkedAtMs: Date.now() };
    await this.#cache.index.write("names", what.key, record);
    return { root, name: nameOf(record) };
  }

  /** Leaves `out/image.tar` in the workspace. */
  async #run(
    what: { readonly suite: string; readonly packages: readonly string[]; readonly shown: string },
    workspace: string,
    at: StagePlace,
  ): Promise<void> {
    const { suite, packages, shown } = what;
    const path = process.env["PATH"] ?? "";
    if ((await findProgram("mmdebstrap", { named: null, variable: "", path })) === null) throw noMmdebstrap();
    const included = packages.length === 0 ? [] : [`--include=${packages.join(",")}`];
    const mirror = this.#o.debianMirror === null ? [] : [this.#o.debianMirror];
    const words = ["--mode=root", "--variant=minbase", "--format=tar", ...included];
    const command = ["mmdebstrap", ...words, suite, `${OUT}/image.tar`, ...mirror];
    const options = runOptions({
      images: ["host"],
      binds: [{ source: join(workspace, "out"), target: OUT, readOnly: false }],
      variables: { ...BASE, DEBIAN_FRONTEND: "noninteractive" },
      cwd: OUT,
      hostname: "debian",
      // The mirror is the operator's to name, whatever the stage may reach.
      network: at.slot.network,
      places: [],
      allowWeak: this.#o.settings.allowWeak,
      limits: at.limits,
      wallMs: at.wallMs,
      graceMs: GRACE_MS,
      silenceMs: null,
      masks: this.#o.settings.masks,
    });
    await at.log.say(`making ${shown} by mmdebstrap`);
    const ends = { cancelled: at.cancelled, abandoned: at.abandoned };
    const { output, verdict } = await at.slot.run({ workspace, options, command, ...ends });
    let tail = "";
    const heard = async function* (): AsyncGenerator<Uint8Array> {
      for await (const chunk of output) {
        tail = (tail + Buffer.from(chunk as Uint8Array).toString("utf8")).slice(-TAIL_BYTES);
        yield chunk as Uint8Array;
      }
    };
    const [ended] = await Promise.all([verdict, at.log.pump(Readable.from(heard(), { objectMode: false }))]);
    at.cancelled.throwIfAborted();
    at.abandoned.throwIfAborted();
    if (ended.reason === "exit" && ended.code === 0) return;
    throw failureOf(ended.reason === "exit" ? tail : `${tail}\n${ended.message}`, shown);
  }
}

/** What mmdebstrap's last words mean for a stage. */
export function failureOf(tail: string, shown: string): Error {
  const lines = tail.split("\n").filter((line) => line.trim() !== "");
  const words = (
    lines.find((line) => /^E: (?!apt-get |setup |mmdebstrap |Some index)/.test(line)) ??
    lines.at(-1) ??
    ""
  ).slice(0, 500);
  if (/No space left|ENOSPC|Disk quota/i.test(tail)) return diskFull(undefined);
  if (
    /could ?n[o']t (resolve|connect)|temporary failure|connection (refused|timed out|failed)|unable to connect|50[0-9] /i.test(
      tail,
    )
  )
    return new ToroidError("TOR_MIRROR_UNREACHABLE", `${shown} cannot be made, the mirror does not answer: ${words}`);
  if (
    /unable to locate package|has no installation candidate|does not have a Release file|404 +Not Found|unknown suite/i.test(
      tail,
    )
  )
    return new Refused(`${shown} cannot be made: ${words}`);
  return new ToroidError("TOR_IMAGE_MISSING", `${shown} cannot be made: ${words}`, { image: shown });
}

function nameOf({ name, digest }: NameRecord): string {
  return `${name}@${digest}`;
}

function begin({ log }: StagePlace): void {
  if (log.begun.length === 0) log.begin("image");
}

function isUnreachable(error: unknown): boolean {
  return error instanceof ToroidError && error.code === "TOR_MIRROR_UNREACHABLE";
}

function noMmdebstrap(): ToroidError {
  return new ToroidError(
    "TOR_TOOL_MISSING",
    "the image is made by mmdebstrap, which this executor does not have: install it where PATH finds it (`apt-get install mmdebstrap`)",
  );
}
