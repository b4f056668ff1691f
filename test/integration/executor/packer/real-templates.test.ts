/** What templates of real repositories say besides: other transfers, other sources, plugins, and what Packer does itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noLeaksAfterAll } from "../../../support/leaks.ts";
import { programPath } from "../../../support/programs.ts";
import { needs } from "../../../support/skips.ts";
import { SANDBOX } from "../rig.ts";
import { endOf, PackerRig } from "./local-rig.ts";

const NEEDS = { root: true, path: SANDBOX, program: "git" } as const;
const T = { timeout: 120_000 };
const VERSIONS = ["packer", "packer-1.9.4"] as const;

noLeaksAfterAll();

const TRANSFERS = `
  provisioner "file" {
    source = "tree"
    destination = "/opt"
  }
  provisioner "file" {
    source = "tree/"
    destination = "/srv/contents"
  }
  provisioner "file" {
    sources = ["run.sh", "tree/a file"]
    destination = "/usr/local/bin/"
  }
  provisioner "file" {
    direction = "download"
    source = "/opt/tree/deep/b"
    destination = "got.txt"
  }
  provisioner "shell-local" { inline = ["cat got.txt"] }
`;
const FILES = {
  "tree/a file": "spaces\n",
  "tree/deep/b": "deep\n",
  "tree/empty": "",
  "tree/big": Buffer.alloc(300_000, "0123456789abcdef\n"),
  "run.sh": "#!/bin/sh\necho ran\n",
  ".toroid.yml": `image: { packer: .packer }
script: |
  cat "/opt/tree/a file" /opt/tree/deep/b "/usr/local/bin/a file"; wc -c </srv/contents/big; test -e /opt/tree/empty
  sh /usr/local/bin/run.sh
`,
};
const LOOK = "<script>\nspaces\ndeep\nspaces\n300000\nran\n";

for (const version of VERSIONS) {
  const run = async (files: Record<string, string | Buffer>) => {
    await using rig = await PackerRig.make(files, programPath(version) ?? "");
    return await rig.run();
  };
  const can = (t: Parameters<typeof needs>[0]): boolean => needs(t, { ...NEEDS, program: ["git", version] });

  test(`files go by SFTP as they do by scp, by ${version}`, T, async (t) => {
    if (!can(t)) return;
    for (const method of ["sftp", "scp"]) {
      const source = `source "null.toroid" { ssh_file_transfer_method = "${method}" }`;
      const dirs = 'provisioner "shell" { inline = ["mkdir -p /srv/contents"] }';
      const told = await run({ ...FILES, ".packer": `build {\n  ${source}\n  ${dirs}\n${TRANSFERS}}\n` });
      assert.ok(told.log.endsWith(LOOK), `${method}: ${endOf(told)}\n${told.log}`);
      assert.match(told.log, /^deep$/m);
    }
  });

  test(`a builder in JSON says how files go, by ${version}`, T, async (t) => {
    if (!can(t)) return;
    const template = {
      builders: [
        { type: "null", name: "toroid", ssh_file_transfer_method: "sftp" },
        { type: "amazon-ebs", region: "us-east-1" },
      ],
      provisioners: [{ type: "file", source: "run.sh", destination: "/etc/made" }],
    };
    const told = await run({
      ".toroid.yml": "image: { packer: .packer }\nscript: sh /etc/made\n",
      "run.sh": "echo ran\n",
      ".packer": JSON.stringify(template),
    });
    assert.ok(told.log.endsWith("<script>\nran\n"), `${endOf(told)}\n${told.log}`);
  });

  test(`a transfer to where there is no directory fails in the image's words, by ${version}`, T, async (t) => {
    if (!can(t)) return;
    const file = 'provisioner "file" {\n source = "run.sh"\n destination = "/no/such/place"\n }';
    const source = 'source "null.toroid" { ssh_file_transfer_method = "sftp" }';
    const told = await run({ ...FILES, ".packer": `build {\n  ${source}\n  ${file}\n}\n` });
    assert.match(endOf(told), /^failed: Packer: .*(not exist|nonexistent|No such)/i, told.log);
  });

  test(`what Packer waits for, repeats and cleans up it does here too, by ${version}`, T, async (t) => {
    if (!can(t)) return;
    const template = `build {
  sources = ["source.null.toroid"]
  provisioner "shell" {
    pause_before = "100ms"
    max_retries = 2
    timeout = "1m"
    inline = ["echo try; n=$(cat /root/n 2>/dev/null || echo 0); echo $((n + 1)) >/root/n; test $n = 2"]
  }
  provisioner "breakpoint" {
    disable = true
    note = "nobody would press Enter"
  }
  provisioner "shell" {
    execute_command = "chmod +x {{ .Path }}; {{ .Vars }} env {{ .Path }}"
    environment_vars = ["A=it's"]
    only = ["null.toroid"]
    inline = ["echo $A $(cat /root/n) >/etc/made"]
  }
  provisioner "shell" {
    except = ["null.toroid"]
    inline = ["echo not here >/etc/made"]
  }
}
`;
    const passed = await run({
      ".toroid.yml": "image: { packer: .packer }\nscript: cat /etc/made\n",
      ".packer": template,
    });
    assert.ok(passed.log.endsWith("<script>\nit's 3\n"), `${endOf(passed)}\n${passed.log}`);
    assert.equal(passed.log.match(/^try$/gm)?.length, 3);
    const failing = `build {
  sources = ["source.null.toroid"]
  provisioner "shell" {
    timeout = "2s"
    inline = ["echo begun", "sleep 1000"]
  }
  ${version === "packer" ? "" : 'error-cleanup-provisioner "shell" { inline = ["echo cleaned up"] }'}
}
`;
    const failed = await run({ ".toroid.yml": "image: { packer: .packer }\nscript: 'true'\n", ".packer": failing });
    assert.equal(endOf(failed), "failed: Packer: a provisioner took longer than its `timeout`", failed.log);
    // 1.6.6 knows that block in JSON only.
    if (version !== "packer") assert.match(failed.log, /^begun$[^]*^cleaned up$/m);
  });
}

const AMAZON = `source "amazon-ebs" "app" {
  region = "us-east-1"
  source_ami_filter {
    filters = { name = "debian-13-amd64-*" }
    owners = ["136693071363"]
    most_recent = true
  }
  instance_type = "t3.micro"
  ssh_username = "admin"
  ami_name = "app-\${local.when}"
}
`;

for (const version of VERSIONS) {
  test(`of a template that makes an AMI too only the container is made, by ${version}`, T, async (t) => {
    if (!needs(t, { ...NEEDS, program: ["git", version] })) return;
    const when = 'locals {\n  when = formatdate("YYYYMMDD", timestamp())\n}\n';
    const head = `packer {\n  required_version = ">= 1.6.0"\n}\n${when}`;
    const build = `build {
  sources = ["source.amazon-ebs.app", "source.null.toroid"]
  provisioner "shell" { inline = ["echo $PACKER_BUILDER_TYPE >/etc/made"] }
  provisioner "shell" {
    only = ["amazon-ebs.app"]
    inline = ["exit 1"]
  }
  post-processor "manifest" { output = "manifest.json" }
}
`;
    const files = { ".toroid.yml": "image: { packer: .packer }\nscript: cat /etc/made\n" };
    const template = head + AMAZON + build;
    await using rig = await PackerRig.make({ ...files, ".packer": template }, programPath(version) ?? "");
    const told = await rig.run();
    assert.ok(told.log.endsWith("<script>\nnull\n"), `${endOf(told)}\n${told.log}`);
  });
}

test("a template in JSON that Packer cannot read fails in its words", T, async (t) => {
  if (!needs(t, { ...NEEDS, program: ["git", ...VERSIONS] })) return;
  const template = {
    builders: [
      { type: "null", name: "twice" },
      { type: "null", name: "twice" },
    ],
  };
  const files = { ".toroid.yml": "image: { packer: .packer }\nscript: 'true'\n", ".packer": JSON.stringify(template) };
  for (const version of VERSIONS) {
    await using rig = await PackerRig.make(files, programPath(version) ?? "");
    const why = "failed: Packer: the template cannot be read: builder 2: builder with name 'twice' already exists";
    assert.equal(endOf(await rig.run()), why);
  }
});

test("plugins that a template requires have to be on the executor, and are named", T, async (t) => {
  if (!needs(t, { ...NEEDS, program: ["git", "packer-1.9.4"] })) return;
  const plugin = '    nonesuch = {\n      source = "github.com/acme/nonesuch"\n      version = ">= 1.0.0"\n    }\n';
  const template = `packer {\n  required_plugins {\n${plugin}  }\n}\nbuild {\n  sources = ["source.null.toroid"]\n}\n`;
  const files = { ".toroid.yml": "image: { packer: .packer }\nscript: 'true'\n", ".packer": template };
  await using rig = await PackerRig.make(files, programPath("packer-1.9.4") ?? "");
  assert.match(endOf(await rig.run()), /^failed: Packer: Missing plugins: .*github\.com\/acme\/nonesuch >= 1\.0\.0/);
});
