/** Images in files: a layout of the OCI, as skopeo, umoci and buildkit write it, or what `docker save` writes. All of it is foreign. */
import { constants } from "node:fs";
import { open, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { z } from "zod";
import {
  architectureHere,
  assertDigest,
  assertLayers,
  chosen,
  configOf,
  type Descriptor,
  DOCUMENT_MOST_BYTES,
  digestOf,
  documentOf,
  type Manifest,
} from "./documents.ts";
import { Refused } from "./refused.ts";

/** An image that is there to be unpacked. */
export interface ImageInFiles {
  /** Of what describes it, on this processor. */
  readonly digest: string;
  /** The lowest first. */
  readonly layers: readonly LayerFile[];
  readonly variables: Readonly<Record<string, string>>;
}

export interface LayerFile {
  readonly path: string;
  /** Of the file; null: nobody says. */
  readonly blob: string | null;
  /** Of what it is when it is uncompressed. */
  readonly diffId: string;
}

/**
 * @param tag null: there is one image
 * @throws {Refused}
 * @throws {ToroidError} TOR_IMAGE_DAMAGED
 */
export async function imageInFiles(dir: string, tag: string | null, shown: string): Promise<ImageInFiles> {
  if ((await pathIn(dir, "index.json")) !== null) return inLayout(dir, tag, shown);
  if ((await pathIn(dir, "manifest.json")) !== null) return inDockerArchive(dir, tag, shown);
  throw new Refused(
    `${shown} is no image: it has neither the \`index.json\` of an OCI layout nor the \`manifest.json\` of \`docker save\``,
  );
}

const NAME = "org.opencontainers.image.ref.name";

async function inLayout(dir: string, tag: string | null, shown: string): Promise<ImageInFiles> {
  const top = documentOf(await documentIn(dir, "index.json", shown), shown);
  if (top.kind !== "index") throw new Refused(`${shown} is no OCI layout: its \`index.json\` is no index`);
  const { manifests } = top.index;
  const named = tag === null ? manifests : manifests.filter(({ annotations }) => annotations?.[NAME] === tag);
  const [first, second] = named;
  if (first === undefined || (second !== undefined && first.platform === undefined)) {
    const tags = manifests.map(({ annotations }) => annotations?.[NAME] ?? "");
    const has = [...new Set(tags.filter((name) => name !== ""))].join(", ") || "no names";
    throw new Refused(
      tag === null
        ? `${shown} has ${named.length} images: name one of them behind a colon; it has ${has}`
        : `${shown} has no image of that name; it has ${has}`,
    );
  }
  return described(dir, second === undefined ? first : chosen({ manifests: named }, architectureHere(), shown), shown);
}

/** By a manifest, or by an index that leads to one. */
async function described(dir: string, by: Descriptor, shown: string, depth = 0): Promise<ImageInFiles> {
  const bytes = await documentIn(dir, blobOf(by.digest), shown);
  assertDigest(bytes, by.digest, "the manifest", shown);
  const document = documentOf(bytes, shown);
  if (document.kind === "manifest") return ofManifest(dir, document.manifest, by.digest, shown);
  if (depth > 3) throw new Refused(`${shown} is an index of indexes, deeper than anybody needs`);
  return described(dir, chosen(document.index, architectureHere(), shown), shown, depth + 1);
}

async function ofManifest(dir: string, manifest: Manifest, digest: string, shown: string): Promise<ImageInFiles> {
  assertLayers(manifest, shown);
  const bytes = await documentIn(dir, blobOf(manifest.config.digest), shown);
  assertDigest(bytes, manifest.config.digest, "the configuration", shown);
  const { diffIds, variables } = configOf(bytes, shown);
  assertCount(diffIds.length, manifest.layers.length, shown);
  const layers = manifest.layers.map(({ digest: blob }, i) => ({ name: blobOf(blob), blob, diffId: diffIds[i] ?? "" }));
  return { digest, layers: await found(dir, layers, shown), variables };
}

const saved = z.array(
  z.looseObject({ Config: z.string(), RepoTags: z.array(z.string()).nullish(), Layers: z.array(z.string()) }),
);

async function inDockerArchive(dir: string, tag: string | null, shown: string): Promise<ImageInFiles> {
  const read = saved.safeParse(JSON.parse((await documentIn(dir, "manifest.json", shown)).toString("utf8")));
  if (!read.success)
    throw new Refused(`${shown} is nothing that \`docker save\` writes: its \`manifest.json\` lists no images`);
  const isMeant = (name: string): boolean => name === tag || name.replace(/^docker\.io\/(library\/)?/, "") === tag;
  const images = tag === null ? read.data : read.data.filter(({ RepoTags }) => RepoTags?.some(isMeant));
  const [image, second] = images;
  if (image === undefined || second !== undefined) {
    const has = read.data.flatMap(({ RepoTags }) => RepoTags ?? []).join(", ") || "no names";
    throw new Refused(`${shown}: name one of its images behind a colon; it has ${has}`);
  }
  const bytes = await documentIn(dir, image.Config, shown);
  const { diffIds, variables } = configOf(bytes, shown);
  assertCount(diffIds.length, image.Layers.length, shown);
  const layers = image.Layers.map((name, i) => ({ name, blob: null, diffId: diffIds[i] ?? "" }));
  return { digest: digestOf(bytes), layers: await found(dir, layers, shown), variables };
}

function assertCount(diffIds: number, layers: number, shown: string): void {
  if (diffIds === layers) return;
  throw new Refused(`${shown} is no whole image: its configuration knows ${diffIds} layers, its manifest ${layers}`);
}

async function found(
  dir: string,
  layers: readonly { readonly name: string; readonly blob: string | null; readonly diffId: string }[],
  shown: string,
): Promise<readonly LayerFile[]> {
  return Promise.all(
    layers.map(async ({ name, ...digests }) => {
      const path = await pathIn(dir, name);
      if (path === null) throw new Refused(`${shown} is not whole: it has no ${name}`);
      return { path, ...digests };
    }),
  );
}

function blobOf(digest: string): string {
  return `blobs/${digest.replace(":", "/")}`;
}

/** Where `name` is, if it is in there: a link may lead anywhere. */
async function pathIn(dir: string, name: string): Promise<string | null> {
  const [root, real] = await Promise.all([realpath(dir), realpath(join(dir, name)).catch(() => null)]);
  return real?.startsWith(root + sep) ? real : null;
}

async function documentIn(dir: string, name: string, shown: string): Promise<Buffer> {
  const path = await pathIn(dir, name);
  if (path === null) throw new Refused(`${shown} is not whole: it has no ${name}`);
  await using file = await openFile(path, name, shown);
  const { size } = await file.stat();
  if (size > DOCUMENT_MOST_BYTES) throw new Refused(`${shown} is no image: its ${name} is larger than 4 MiB`);
  return await file.readFile();
}

async function openFile(path: string, name: string, shown: string): Promise<Awaited<ReturnType<typeof open>>> {
  // Nobody waits for the other end of a pipe that an archive brought.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    const why = error instanceof Error && "code" in error ? String(error.code) : "it cannot be opened";
    throw new Refused(`${shown}: ${name} cannot be read (${why})`);
  });
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new Refused(`${shown} is no image: its ${name} is no file`);
}
