/** What an OCI image costs: fetched from a registry on loopback into an empty store, and found again. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { Hold, type ImageCache } from "../../../executor/images/cache.ts";
import { Skopeo } from "../../../executor/images/oci/skopeo.ts";
import { OciImages, type RegistryReference } from "../../../executor/images/oci.ts";
import { ociReferenceOf } from "../../../protocol/pipeline/oci-reference.ts";
import { archive } from "../../integration/sandbox/archives.ts";
import { debianImage, Missing } from "../../support/debian.ts";
import { imageCache } from "../../support/image-cache.ts";
import { makeLayout } from "../../support/oci-layout.ts";
import { programPath } from "../../support/programs.ts";
import { Registry } from "../../support/registry.ts";
import { percentile, tenths } from "../statistics.ts";

const COLD_ROUNDS = 3;
const WARM_ROUNDS = 200;
const SMALL_LAYERS = 7;
const REFRESH_MS = 3_600_000;

export interface OciCosts {
  readonly figures: Readonly<Record<string, number>>;
  readonly setup: Readonly<Record<string, number | string>>;
}

/** @param dir everything is made below it */
export async function benchOci(dir: string): Promise<OciCosts> {
  if (programPath("skopeo") === undefined) throw new Missing("skopeo is not installed");
  await using registry = await Registry.start();
  const { stdout: base } = await execa("tar", ["-C", await debianImage(), "-cf", "-", "."], {
    encoding: "buffer",
    maxBuffer: Number.MAX_SAFE_INTEGER,
    stripFinalNewline: false,
  });
  const small = Array.from({ length: SMALL_LAYERS }, (_, at) => archive({ name: `small-${at}`, data: String(at) }));
  await mkdir(join(dir, "layout"));
  const layout = await makeLayout(join(dir, "layout"), { layers: [base, ...small] });
  const reference = ociReferenceOf(await registry.push(layout.path, "bench:1"));
  if (!("kind" in reference) || reference.kind !== "registry") throw new Error("that is no reference of a registry");
  const skopeo = new Skopeo({ program: null, authFile: null, registriesFile: registry.registriesFile });
  const take = async (cache: ImageCache): Promise<number> =>
    timed(new OciImages(cache, { skopeo, refreshMs: REFRESH_MS }), reference);
  const [cold, warm]: [number[], number[]] = [[], []];
  let cache: ImageCache | null = null;
  for (let round = 0; round < COLD_ROUNDS; round += 1) {
    cache = await imageCache(join(dir, `cold-${round}`));
    cold.push(await take(cache));
  }
  if (cache === null) throw new Error("nothing was fetched");
  for (let round = 0; round < WARM_ROUNDS; round += 1) warm.push(await take(cache));
  return {
    figures: {
      ociColdMs: tenths(percentile(cold, 0.5)),
      ociWarmMs: tenths(percentile(warm, 0.5)),
      ociWarmMsP99: tenths(percentile(warm, 0.99)),
    },
    setup: {
      ociLayers: 1 + SMALL_LAYERS,
      ociBytes: base.length,
      ociColdRounds: COLD_ROUNDS,
      ociWarmRounds: WARM_ROUNDS,
    },
  };
}

/** As a stage takes it: held while it runs. */
async function timed(images: OciImages, reference: RegistryReference): Promise<number> {
  await using hold = new Hold();
  const began = performance.now();
  await images.ofRegistry(reference, { hold, signal: new AbortController().signal, log: null });
  return performance.now() - began;
}
