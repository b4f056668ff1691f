/** An image by Packer that is made on an OCI image, of a layout in the checkout, by hand. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { makeLayout } from "../../../support/oci-layout.ts";
import { programPath } from "../../../support/programs.ts";
import { needs } from "../../../support/skips.ts";
import { smallSystem } from "../../../support/small-system.ts";
import { archive } from "../../sandbox/archives.ts";
import { SANDBOX } from "../rig.ts";
import { endOf, PackerRig } from "./local-rig.ts";

const NEEDS = { root: true, path: SANDBOX, program: ["git", "packer"] } as const;
const FILE = `
image: { packer: template.pkr.hcl, base: { oci: "oci:layout:small" } }
script: cat /etc/made; echo $OF_IMAGE; ls /
`;
const TEMPLATE = `build {
  sources = ["source.null.toroid"]
  provisioner "shell" { inline = ["cat /etc/base > /etc/made"] }
}
`;

test("provisioners of a template go on where an OCI image ends", { timeout: 120_000 }, async (t) => {
  if (!needs(t, NEEDS)) return;
  const system = await smallSystem();
  if (!needs(t, { other: typeof system === "string" ? system : undefined }) || typeof system === "string") return;
  await using rig = await PackerRig.make(
    { ".toroid.yml": FILE, "template.pkr.hcl": TEMPLATE },
    programPath("packer") ?? "",
  );
  const layers = [archive(...system), archive({ name: "etc/base", data: "of the image\n" })];
  await makeLayout(join(rig.repo.path, "layout"), { layers, tag: "small", env: ["OF_IMAGE=yes"] });
  const [first, second] = [await rig.run(), await rig.run()];
  assert.deepEqual([endOf(first), endOf(second)], ["passed: ", "passed: "], first.log);
  assert.match(first.log, /^<image>\n[^]*<script>\nof the image\nyes\n/);
  assert.match(second.log, /^<script>\nof the image\nyes\n/);
});
