import { z } from "zod";
import type { Config } from "../../executor/config.ts";
import type { ImageCache } from "../../executor/images/cache.ts";
import { ToroidError } from "../../protocol/errors.ts";
import { parseSize } from "../../protocol/pipeline/size.ts";
import { EXIT, usageError } from "../exit.ts";
import { imageTable, roomReport, size } from "../text/images.ts";
import { type Context, type Flag, verb } from "../verb.ts";

const LOCAL: Flag = { flags: "--local", about: "those of `toroid run` in TOROID_CACHE, in place of the executor's" };
const options = z.object({ local: z.boolean().default(false) });
const MORE = "Of the executor in TOROID_EXECUTOR_STATE, on its host, whether it runs or not. Needs root.";

export const imageLs = verb({
  usage: "image ls",
  summary: "images that are kept: digest, size, when used last, and whether a stage uses it",
  more: `${MORE}\nSizes are with the layers that an image shares with others.`,
  examples: ["sudo toroid image ls"],
  flags: [LOCAL],
  options,
  async run(context, _args, { local }) {
    const { cache } = await imagesOf(context, local);
    const { keptImages } = await import("../../executor/images/keeping.ts");
    const { images, bytes } = await keptImages(cache);
    if (context.json) await context.out(`${JSON.stringify({ images, bytes })}\n`);
    else if (images.length > 0) await context.out(imageTable(images, bytes, Date.now()));
    else context.err("no image is kept");
    return EXIT.ok;
  },
});

export const imagePull = verb({
  usage: "image pull <reference>",
  summary: "fetch an image of a registry, or what its tag means by now",
  more: MORE,
  examples: ["sudo toroid image pull debian:12"],
  flags: [LOCAL],
  options,
  async run(context, [reference = ""], { local }) {
    const { cache, config } = await imagesOf(context, local);
    const [{ pullImage }, { Refused }] = await Promise.all([
      import("../../executor/images/host.ts"),
      import("../../executor/images/oci/refused.ts"),
    ]);
    try {
      const pulled = await pullImage(cache, config, reference, context.interrupted());
      const { name, digest, layers } = pulled;
      if (context.json) await context.out(`${JSON.stringify(pulled)}\n`);
      else await context.out(`${name} is ${digest}, with ${layers} ${layers === 1 ? "layer" : "layers"}\n`);
      return EXIT.ok;
    } catch (error) {
      if (error instanceof Refused) throw new ToroidError("TOR_NOT_FOUND", error.message, {}, { cause: error });
      throw error;
    }
  },
});

export const imageRm = verb({
  usage: "image rm <image>",
  summary: "remove an image that no stage uses, by its name, its digest or the beginning of that",
  more: `${MORE}\nLayers that another image has stay.`,
  examples: ["sudo toroid image rm debian:12"],
  flags: [LOCAL],
  options,
  async run(context, [what = ""], { local }) {
    const { cache } = await imagesOf(context, local);
    const { removeImage } = await import("../../executor/images/keeping.ts");
    const removed = await removeImage(cache, what);
    if (context.json) await context.out(`${JSON.stringify(removed)}\n`);
    else context.err(`removed ${removed.names.join(", ") || removed.digest}`);
    return EXIT.ok;
  },
});

export const imageGc = verb({
  usage: "image gc",
  summary: "remove layers of no image, and what was not used for the longest until the rest fits",
  more: `${MORE}\nWhat a stage uses stays. Executors do the same whenever they keep a new one.`,
  examples: ["sudo toroid image gc --to 10GiB --dry-run"],
  flags: [
    { flags: "--dry-run", about: "only say what would go" },
    { flags: "--to <size>", about: "how much may stay, as 10GiB; 0B: nothing (default: TOROID_IMAGE_CACHE_BYTES)" },
    LOCAL,
  ],
  options: options.extend({ dryRun: z.boolean().default(false), to: z.string().optional() }),
  async run(context, _args, { local, dryRun, to }) {
    const given = to === undefined ? null : parseSize(to);
    if (given !== null && "problem" in given) throw usageError(`--to: ${given.problem}`);
    const { cache, config } = await imagesOf(context, local);
    const { makeRoom } = await import("../../executor/images/keeping.ts");
    const room = await makeRoom(cache, given?.bytes ?? config.images.cacheBytes, dryRun);
    if (context.json) {
      const gone = room.gone.map(({ record, usedAtMs }) => ({ ...record, usedAtMs }));
      await context.out(`${JSON.stringify({ ...room, dryRun, gone })}\n`);
    } else if (room.gone.length > 0) await context.out(roomReport(room, dryRun, Date.now()));
    else context.err(`nothing is to go: ${size(room.bytesBefore)} are kept`);
    return EXIT.ok;
  },
});

async function imagesOf(
  { environment }: Context,
  isLocal: boolean,
): Promise<{ readonly cache: ImageCache; readonly config: Config }> {
  const [{ configFrom }, { hostImages }] = await Promise.all([
    import("../../executor/config.ts"),
    import("../../executor/images/host.ts"),
  ]);
  const config = configFrom(environment);
  return { cache: await hostImages(config, isLocal), config };
}
