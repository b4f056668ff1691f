/** What the image of a stage costs: made by real Packer or fetched from a real registry, and found again. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Hold } from "../../executor/images/cache.ts";
import { identityOf } from "../../executor/images/identity.ts";
import { findPacker, layTools, toolsIn } from "../../executor/images/packer/tools.ts";
import { type Made, PackerImages } from "../../executor/images/packer.ts";
import { LocalSlot } from "../../executor/local/slot.ts";
import { LogStream } from "../../executor/log-stream.ts";
import { OutputPipe } from "../../executor/workspace/pipe.ts";
import { debianImage, Missing } from "../support/debian.ts";
import { imageCache } from "../support/image-cache.ts";
import { tempDir } from "../support/temp.ts";
import { weakHere } from "../support/weak.ts";
import { benchBake } from "./images/bake.ts";
import { benchOci } from "./images/oci.ts";
import type { Report } from "./report.ts";
import { percentile, tenths } from "./statistics.ts";

const COLD_ROUNDS = 7;
const WARM_ROUNDS = 200;
const HELPER = join(import.meta.dirname, "..", "..", "sandbox", "build", "toroid-sandbox");
const TEMPLATE = `variable "ROUND" { default = "" }
build {
  sources = ["source.null.toroid"]
  provisioner "shell" { inline = ["echo \${var.ROUND} > /etc/made"] }
}
`;

export async function benchImages(): Promise<Report> {
  await using cleanup = new AsyncDisposableStack();
  const dir = cleanup.use(await tempDir("toroid-bench-images-")).path;
  const never = new AbortController().signal;
  const packer = await findPacker(process.env["TOROID_PACKER"] ?? null, process.env["PATH"] ?? "");
  if (packer === null) throw new Missing("packer is not installed");
  await Promise.all(["src"].map((name) => mkdir(join(dir, name))));
  await layTools(join(dir, "packer"), packer);
  await writeFile(join(dir, "src", ".packer"), TEMPLATE);
  const root = await debianImage();
  const beside = new LocalSlot(HELPER, await OutputPipe.make(join(dir, "beside")), null);
  const slot = new LocalSlot(HELPER, await OutputPipe.make(join(dir, "out")), beside);
  const hold = new Hold();
  const images = new PackerImages(await imageCache(join(dir, "store")), {
    workspacesDir: dir,
    tools: toolsIn(join(dir, "packer")),
    settings: { allowWeak: weakHere(), masks: [dir] },
  });
  const log = LogStream.open({ bytes: async () => undefined, phase: () => undefined, end: async () => null }, 1 << 20);
  const make = async (round: string): Promise<Made> =>
    images.make(
      { kind: "packer", template: ".packer", text: null, base: { kind: "directory", path: root }, files: [] },
      { images: [root], identity: await identityOf(root), variables: {} },
      {
        checkout: join(dir, "src"),
        hold,
        variables: { ROUND: round },
        slot,
        network: "none",
        places: [],
        limits: { memoryBytes: null, cpuMilli: null, pids: null, diskBytes: null, logBytes: 1 << 20 },
        wallMs: 600_000,
        log,
        cancelled: never,
        abandoned: never,
      },
    );
  const [cold, warm]: [number[], number[]] = [[], []];
  for (let round = 0; round < COLD_ROUNDS; round += 1) cold.push(await timed(() => make(String(round))));
  for (let round = 0; round < WARM_ROUNDS; round += 1) warm.push(await timed(() => make("0")));
  const bake = await benchBake();
  await mkdir(join(dir, "oci"));
  const oci = await benchOci(join(dir, "oci"));
  return {
    bench: "images",
    figures: {
      ...bake.figures,
      ...oci.figures,
      packerColdMs: tenths(percentile(cold, 0.5)),
      packerWarmMs: tenths(percentile(warm, 0.5)),
      packerWarmMsP99: tenths(percentile(warm, 0.99)),
    },
    ratios: {},
    setup: {
      packer,
      base: root,
      provisioner: "one of shell, which writes a file",
      ...(bake.missing === null ? {} : { missing: bake.missing }),
      coldRounds: COLD_ROUNDS,
      warmRounds: WARM_ROUNDS,
      ...oci.setup,
    },
  };
}

async function timed(act: () => Promise<Made>): Promise<number> {
  const began = performance.now();
  const made = await act();
  if (made.kind !== "made") throw new Error(made.ruling.message);
  return performance.now() - began;
}
