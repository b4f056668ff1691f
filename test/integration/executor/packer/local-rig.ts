/** A checkout with a template, and `toroid run` in it: Packer without a server of ours. */
import { join } from "node:path";
import { type LocalRun, runLocally } from "../../../../executor/local.ts";
import { IMAGES } from "../../../support/image-cache.ts";
import { type Files, GitRepo } from "../../../support/repo.ts";
import { type TempDir, tempDir } from "../../../support/temp.ts";
import { weakHere } from "../../../support/weak.ts";
import { SANDBOX } from "../rig.ts";

export class PackerRig implements AsyncDisposable {
  readonly repo: GitRepo;
  readonly #dir: TempDir;
  readonly #packer: string;
  readonly #defaultImage: string;

  private constructor(repo: GitRepo, dir: TempDir, packer: string, defaultImage: string) {
    this.repo = repo;
    this.#dir = dir;
    this.#packer = packer;
    this.#defaultImage = defaultImage;
  }

  static async make(files: Files, packer: string, defaultImage = "host"): Promise<PackerRig> {
    return new PackerRig(await GitRepo.create({ files }), await tempDir("toroid-packer-"), packer, defaultImage);
  }

  get cache(): string {
    return join(this.#dir.path, "cache");
  }

  async run(cancelled = new AbortController().signal, heard: (text: string) => void = () => undefined): Promise<Told> {
    const told: string[] = [];
    const hear = (text: string): void => {
      told.push(text);
      heard(text);
    };
    const local = await runLocally({
      directory: this.repo.path,
      stage: null,
      sandbox: SANDBOX,
      allowWeak: weakHere(),
      defaultImage: this.#defaultImage,
      imagesDir: "/nonexistent",
      images: IMAGES,
      cacheDir: this.cache,
      packer: this.#packer,
      params: {},
      onBytes: (data) => hear(Buffer.from(data).toString()),
      onPhase: (phase) => hear(`<${phase}>\n`),
      say: (line) => hear(`(${line})\n`),
      extras: [],
      cancelled,
    });
    return { local, log: told.join("") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.repo[Symbol.asyncDispose]();
    await this.#dir[Symbol.asyncDispose]();
  }
}

export interface Told {
  readonly local: LocalRun;
  readonly log: string;
}

/** `passed`, or how else it ended and why. */
export function endOf({ local }: Told): string {
  if (local.kind !== "run") return local.kind;
  const { ruling } = local.run;
  return ruling.kind === "errored" ? `${ruling.code}: ${ruling.message}` : `${ruling.outcome}: ${ruling.message}`;
}
