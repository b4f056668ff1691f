/** Images by real Packer, of the versions that are tested, through `toroid run`: what provisioners do is in the image. */
import assert from "node:assert/strict";
import { readdir, symlink } from "node:fs/promises";
import { test } from "node:test";
import { noLeaksAfterAll } from "../../../support/leaks.ts";
import { programPath } from "../../../support/programs.ts";
import { needs } from "../../../support/skips.ts";
import { archive } from "../../sandbox/archives.ts";
import { SANDBOX } from "../rig.ts";
import { endOf, PackerRig } from "./local-rig.ts";

const NEEDS = { root: true, path: SANDBOX, program: "git" } as const;
const T = { timeout: 120_000 };
const VERSIONS = ["packer", "packer-1.9.4"] as const;

noLeaksAfterAll();

const PROVISIONERS = `
  provisioner "shell" { inline = ["echo inline > /etc/made", "echo to-stderr >&2"] }
  provisioner "shell" { script = "provision/script.sh" }
  provisioner "file" {
    source = "provision/tree"
    destination = "/opt"
  }
  provisioner "file" {
    source = "provision/tree/a file"
    destination = "/opt/it's a file"
  }
  provisioner "file" {
    direction = "download"
    source = "/opt/tree/deep/"
    destination = "got"
  }
  provisioner "file" {
    direction = "download"
    source = "/etc/made"
    destination = "got.txt"
  }
  provisioner "shell-local" { inline = ["cat got.txt; find got -type f; hostname; test ! -e /etc/made && echo elsewhere"] }
`;
const FILES = {
  "provision/script.sh": "#!/bin/sh\nset -eu\nmkdir -p /opt/empty\nln -s /etc/made /opt/link\n",
  "provision/tree/a file": "spaces\n",
  "provision/tree/deep/b": "deep\n",
  "app/unrelated": "1\n",
};

for (const version of VERSIONS) {
  test(`shell, script and files, both ways, by ${version}: the image has it, and Packer has said it`, T, async (t) => {
    if (!needs(t, { ...NEEDS, program: ["git", version] })) return;
    const look = 'cat /etc/made /opt/link "/opt/it\'s a file" /opt/tree/deep/b; ls /opt/empty; echo $WHO';
    await using rig = await PackerRig.make(
      {
        ...FILES,
        ".toroid.yml": `image: { packer: .packer }\nenv: { WHO: ada }\nscript: ${JSON.stringify(look)}\n`,
        ".packer": `variable "WHO" { default = "nobody" }
source "amazon-ebs" "app" { region = "us-east-1" }
build {
  sources = ["source.null.toroid", "source.amazon-ebs.app"]
  provisioner "shell" { inline = ["echo \${var.WHO}"] }
  ${PROVISIONERS}
}
`,
      },
      programPath(version) ?? "",
    );
    const first = await rig.run();
    assert.equal(endOf(first), "passed: ", first.log);
    assert.match(
      first.log,
      /^<image>\n[^]*\nada\n[^]*\nto-stderr\n[^]*\ninline\ngot\/.*b\npacker\nelsewhere\n[^]*<script>\n/,
    );
    assert.match(first.log, /<script>\ninline\ninline\nspaces\ndeep\nada\n/);
    // What it has no use for is not Packer's, and does not change the image.
    await rig.repo.commit({ files: { "app/unrelated": "2\n" } });
    const second = await rig.run();
    assert.equal(second.log, "<script>\ninline\ninline\nspaces\ndeep\nada\n", endOf(second));
    // What it uses does.
    await rig.repo.commit({ files: { "provision/tree/deep/b": "deeper\n" } });
    assert.match((await rig.run()).log, /^<image>\n[^]*<script>\ninline\ninline\nspaces\ndeeper\nada\n$/);
    assert.equal((await readdir(`${rig.cache}/images`)).length, 2);
  });

  test(`a template in JSON, by ${version}, with its own builders`, T, async (t) => {
    if (!needs(t, { ...NEEDS, program: ["git", version] })) return;
    const template = {
      variables: { who: "{{env `WHO`}}" },
      builders: [{ type: "amazon-ebs", region: "us-east-1" }],
      provisioners: [
        { type: "shell", inline: ["echo {{user `who`}} > /etc/made"] },
        { type: "file", source: "{{template_dir}}/provision/tree/a file", destination: "/opt/f" },
        { type: "shell", inline: ["exit 1"], only: ["amazon-ebs"] },
      ],
    };
    await using rig = await PackerRig.make(
      {
        ...FILES,
        ".toroid.yml": "image: { packer: ci/image }\nenv: { WHO: ada }\nscript: cat /etc/made /opt/f\n",
        "ci/image": JSON.stringify(template),
        "ci/provision/tree/a file": "beside\n",
      },
      programPath(version) ?? "",
    );
    const told = await rig.run();
    assert.match(told.log, /<script>\nada\nbeside\n$/, endOf(told));
  });
}

/** What a template says, and what is said of it. */
const WRONG: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
  [
    "a template that Packer cannot read: its words, with file and line",
    { ".packer": 'build {\n  sources = ["source.null.toroid"]\n  provisioner "nonesuch" {}\n}\n' },
    /^failed: Packer: Unknown provisioner type "nonesuch" \(\.packer:3\)$/,
  ],
  [
    "a syntax error",
    { ".packer": 'build {\n  sources = ["source.null.toroid"]\n  provisioner "shell" { inline = [\n' },
    /^failed: Packer: .+ \(\.packer:\d\)$/,
  ],
  [
    "a provisioner that fails",
    { ".packer": 'build {\n  sources = ["source.null.toroid"]\n  provisioner "shell" { inline = ["exit 7"] }\n}\n' },
    /^failed: Packer: Script exited with non-zero exit status: 7/,
  ],
  [
    "a file that is not there",
    { ".packer": 'build {\n  sources = ["source.null.toroid"]\n  provisioner "shell" { script = "none.sh" }\n}\n' },
    /^failed: Packer: .*none\.sh/,
  ],
  [
    "no build for a container",
    { ".packer": 'source "amazon-ebs" "a" {}\nbuild {\n  sources = ["source.amazon-ebs.a"]\n}\n' },
    /^failed: \.packer: no build of the template is for a container: add "source\.null\.toroid" to the `sources`/,
  ],
  [
    "a plugin that is not installed",
    {
      ".packer": `packer {
  required_plugins {
    mine = {
      version = ">= 1.0.0"
      source  = "github.com/acme/mine"
    }
  }
}
build { sources = ["source.null.toroid"] }
`,
    },
    /^failed: Packer: Missing plugins: .*github\.com\/acme\/mine >= 1\.0\.0/,
  ],
];

for (const [title, files, says] of WRONG) {
  test(`a failed stage that says what is wrong: ${title}`, T, async (t) => {
    if (!needs(t, { ...NEEDS, program: ["git", "packer-1.9.4"] })) return;
    const packer = programPath("packer-1.9.4") ?? "";
    await using rig = await PackerRig.make(
      { ".toroid.yml": "image: { packer: .packer }\nscript: echo never\n", ...files },
      packer,
    );
    const told = await rig.run();
    assert.match(endOf(told), says, told.log);
    assert.ok(!told.log.includes("<script>"));
    assert.deepEqual(await readdir(`${rig.cache}/images`), []);
  });
}

test("an image is made on one that is there, and has a shell", T, async (t) => {
  if (!needs(t, { ...NEEDS, program: ["git", "packer"] })) return;
  const on = (base: string): string => `image: { packer: .packer, base: ${base} }\nscript: echo never\n`;
  const files = { ".packer": 'build {\n  sources = ["source.null.toroid"]\n}\n', ".toroid.yml": on("nonesuch") };
  await using rig = await PackerRig.make(files, programPath("packer") ?? "");
  await assert.rejects(rig.run(), { code: "TOR_IMAGE_MISSING", message: /^the image nonesuch cannot be used: / });
  await rig.repo.commit({ files: { ".toroid.yml": on("{ directory: rootfs }"), "rootfs/etc/motd": "x" } });
  await assert.rejects(rig.run(), {
    code: "TOR_IMAGE_MISSING",
    message: /^the image rootfs cannot be used: .+ a `tar`$/,
  });
  await rig.repo.commit({
    files: { ".toroid.yml": on("{ tar: base.tar }"), "base.tar": archive({ name: "etc/motd", data: "x" }) },
  });
  const told = await rig.run();
  assert.equal(endOf(told), "failed: the image that it is made on has no /bin/sh, by which provisioners run", told.log);
});

test("a template that is not in the checkout, or leads out of it, is no image", T, async (t) => {
  if (!needs(t, { ...NEEDS, program: ["git", "packer"] })) return;
  await using rig = await PackerRig.make(
    { ".toroid.yml": "image: { packer: no/where }\nscript: echo never\n" },
    programPath("packer") ?? "",
  );
  await assert.rejects(rig.run(), {
    code: "TOR_IMAGE_MISSING",
    message: "no image can be made of no/where: there is no such file in the checkout",
  });
  await symlink("/etc/passwd", `${rig.repo.path}/link`);
  await symlink("/etc", `${rig.repo.path}/etc`);
  for (const [path, why] of [
    ["link", "the template is a link: name the file itself"],
    ["etc/passwd", "there is no such file in the checkout"],
  ] as const) {
    await rig.repo.commit({ files: { ".toroid.yml": `image: { packer: ${path} }\nscript: echo never\n` } });
    await assert.rejects(rig.run(), { message: `no image can be made of ${path}: ${why}` });
  }
});
