/** OCI images, of registries or of files: what a reference means, fetched when it is not there, its layers stacked. */
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import { type OciReference, ociReferenceText } from "../../protocol/pipeline/oci-reference.ts";
import type { LogStream } from "../log-stream.ts";
import type { Hold, ImageCache, Want } from "./cache.ts";
import {
  architectureHere,
  assertDigest,
  assertLayers,
  chosen,
  type Descriptor,
  type Document,
  digestOf,
  documentOf,
  type Manifest,
} from "./oci/documents.ts";
import { type ImageInFiles, imageInFiles } from "./oci/files.ts";
import { keepLayer, layerName } from "./oci/layers.ts";
import { Refused } from "./oci/refused.ts";
import type { KnownBlob, Skopeo } from "./oci/skopeo.ts";
import { turnOf } from "./turn.ts";

export type RegistryReference = Extract<OciReference, { kind: "registry" }>;

export interface OciOptions {
  readonly skopeo: Skopeo;
  /** How long a registry is believed about what a tag means. */
  readonly refreshMs: number;
}

/** What workspaces stand on. */
export interface Stack {
  /** The upper ones first. */
  readonly roots: readonly string[];
  /** Of the image, as it was asked for. */
  readonly digest: string;
  readonly variables: Readonly<Record<string, string>>;
}

export interface OciWant {
  readonly hold: Hold;
  readonly signal: AbortSignal;
  /** null: nobody reads. */
  readonly log: LogStream | null;
}

/** As many as the sandbox takes, one of Packer's above them. */
const LAYERS_MOST = 63;
const AT_ONCE = 2;

export class OciImages {
  readonly #o: OciOptions;
  readonly #cache: ImageCache;

  constructor(cache: ImageCache, o: OciOptions) {
    this.#cache = cache;
    this.#o = o;
  }

  /**
   * @throws {Refused}
   * @throws {ToroidError} as of {@link Skopeo}, TOR_IMAGE_MISSING
   * @throws the reason of a cancellation
   */
  async ofRegistry(reference: RegistryReference, want: OciWant): Promise<Stack> {
    const there = await this.#remembered(reference, want.hold);
    if (there !== null) return there;
    const shown = ociReferenceText(reference);
    // Whoever waits finds all of it there.
    await using _ = await turnOf(`image ${this.#cache.index.dir} ${shown}`, want.signal, async () => {
      phase(want.log);
      await want.log?.say(`another stage fetches ${shown}; waiting for it`);
    });
    const meanwhile = await this.#remembered(reference, want.hold);
    if (meanwhile !== null) return meanwhile;
    try {
      return await this.#fetched(reference, shown, want);
    } catch (error) {
      const old = isUnreachable(error) ? await this.#remembered(reference, want.hold, Number.POSITIVE_INFINITY) : null;
      if (old === null) throw await this.#cache.giveWay(error);
      phase(want.log);
      await want.log?.say(`${sentenceOf(error)}; this is what ${shown} was when it was there: ${old.digest}`);
      return old;
    }
  }

  /** @param dir an OCI layout, or what an archive of one was unpacked to */
  async ofFiles(dir: string, tag: string | null, shown: string, want: OciWant): Promise<Stack> {
    const image = await imageInFiles(dir, tag, shown);
    const stack = await this.#stackOf(image.digest, want.hold);
    if (stack !== null) return { ...stack, digest: image.digest };
    return this.#kept(image, shown, { digest: image.digest, want });
  }

  /** What the reference meant when somebody looked, if that is not too long ago and all of it is there. */
  async #remembered(reference: RegistryReference, hold: Hold, mostMs = this.#o.refreshMs): Promise<Stack | null> {
    const name = await this.#cache.index.read("names", nameKey(reference));
    if (name === null) return null;
    const ageMs = Date.now() - name.checkedAtMs;
    // A digest never means anything else. A clock that was set back makes nothing older than it is.
    if (reference.digest === null && (ageMs > mostMs || ageMs < 0)) return null;
    const stack = await this.#stackOf(name.image, hold);
    return stack === null ? null : { ...stack, digest: name.digest };
  }

  /** The image by the digest of its manifest, if every layer is there. */
  async #stackOf(digest: string, hold: Hold): Promise<Stack | null> {
    const image = await this.#cache.index.read("oci", imageKey(digest));
    if (image === null) return null;
    const roots = await Promise.all(image.layers.map(({ name }) => this.#cache.use(name, hold)));
    if (!roots.every((root) => root !== null)) return null;
    await this.#cache.index.touch("oci", imageKey(digest));
    return { roots, digest, variables: image.variables };
  }

  async #fetched(reference: RegistryReference, shown: string, want: OciWant): Promise<Stack> {
    const { skopeo } = this.#o;
    await using dir = await this.#cache.pullDir();
    const bytes = await skopeo.describe(exactly(reference, null), dir.path, want.signal);
    const digest = reference.digest ?? digestOf(bytes);
    assertDigest(bytes, digest, "the manifest", shown);
    const document = documentOf(bytes, shown);
    const leads = document.kind === "index" ? chosen(document.index, architectureHere(), shown) : null;
    const last = leads === null ? document : await this.#led(reference, leads, dir.path, shown, want.signal);
    if (last.kind === "index") throw new Refused(`${shown} is an index of indexes`);
    const { manifest } = last;
    const image = leads?.digest ?? digest;
    let stack = await this.#stackOf(image, want.hold);
    if (stack === null) {
      assertLayers(manifest, shown);
      phase(want.log);
      await want.log?.say(`fetching ${shown}, which is ${digest}`);
      const known = await this.#knownOf(manifest, want.hold);
      const layout = await skopeo.fetch(exactly(reference, image), known, dir.path, want.signal);
      const files = await imageInFiles(layout, null, shown);
      assertSame(files, manifest, shown);
      stack = await this.#kept(files, shown, { digest: image, want });
      const count = stack.roots.length;
      await want.log?.say(
        `${shown} is there: ${count} ${count === 1 ? "layer" : "layers"}, ${known.length} of them from before`,
      );
    }
    const record = { name: shown, digest, image, checkedAtMs: Date.now() };
    await this.#cache.index.write("names", nameKey(reference), record);
    return { ...stack, digest };
  }

  async #led(
    reference: RegistryReference,
    { digest }: Descriptor,
    dir: string,
    shown: string,
    signal: AbortSignal,
  ): Promise<Document> {
    const bytes = await this.#o.skopeo.describe(exactly(reference, digest), dir, signal);
    assertDigest(bytes, digest, "the manifest", shown);
    return documentOf(bytes, shown);
  }

  /** Blobs whose layers are there, and held: they are not fetched again. */
  async #knownOf({ layers }: Manifest, hold: Hold): Promise<readonly KnownBlob[]> {
    const images = await this.#cache.index.all("oci");
    const names = new Map(
      images.flatMap(({ record }) => record.layers.flatMap(({ blob, name }) => (blob === null ? [] : [[blob, name]]))),
    );
    const known = await Promise.all(
      layers.map(async (layer) => {
        const name = names.get(layer.digest);
        return name !== undefined && (await this.#cache.use(name, hold)) !== null ? [layer] : [];
      }),
    );
    return known.flat();
  }

  async #kept(
    image: ImageInFiles,
    shown: string,
    { digest, want }: { readonly digest: string; readonly want: OciWant },
  ): Promise<Stack> {
    // What is below another of the same is not seen, and overlay takes no layer twice.
    const layers = [...new Map(image.layers.toReversed().map((one) => [one.diffId, one])).values()];
    if (layers.length > LAYERS_MOST)
      throw new Refused(
        `${shown} has ${layers.length} layers, and a workspace takes ${LAYERS_MOST} at most: flatten it`,
      );
    const each: Want = { hold: want.hold, signal: want.signal, waits: async () => undefined };
    const waiting = [...layers];
    const work = async (): Promise<void> => {
      for (let layer = waiting.pop(); layer !== undefined; layer = waiting.pop()) {
        want.signal.throwIfAborted();
        await keepLayer(this.#cache, layer, shown, each);
      }
    };
    // All are waited for, so that none goes on with files that are being removed.
    const done = await Promise.allSettled(Array.from({ length: AT_ONCE }, work));
    for (const one of done) if (one.status === "rejected") throw one.reason;
    const record = layers.map(({ diffId, blob }) => ({ name: layerName(diffId), diffId, blob }));
    const { variables } = image;
    await this.#cache.index.write("oci", imageKey(digest), {
      digest,
      shown,
      layers: record,
      variables: { ...variables },
    });
    const stack = await this.#stackOf(digest, want.hold);
    if (stack !== null) return stack;
    throw new ToroidError("TOR_SANDBOX_SETUP", `the layers of ${shown} are not there, though they were made just now`);
  }
}

/** What was fetched is what the registry had described. */
function assertSame(files: ImageInFiles, { layers }: Manifest, shown: string): void {
  const [are, said] = [files.layers.map(({ blob }) => blob ?? ""), layers.map(({ digest }) => digest)];
  if (are.join() === said.join()) return;
  const message = `${shown} is not what it says it is: its layers are ${are.join(", ")}, and its manifest says ${said.join(", ")}`;
  throw new ToroidError("TOR_IMAGE_DAMAGED", message);
}

/** As skopeo takes it, which wants no tag beside a digest. */
function exactly({ name, tag, digest }: RegistryReference, other: string | null): string {
  const exact = other ?? digest;
  return exact === null ? `${name}:${tag ?? "latest"}` : `${name}@${exact}`;
}

function isUnreachable(error: unknown): boolean {
  return error instanceof ToroidError && error.code === "TOR_REGISTRY_UNREACHABLE";
}

function phase(log: LogStream | null): void {
  if (log !== null && log.begun.length === 0) log.begin("image");
}

function nameKey(reference: RegistryReference): string {
  return digestOf(Buffer.from(ociReferenceText(reference))).slice("sha256:".length);
}

export function imageKey(digest: string): string {
  return digest.replace(":", "-");
}
