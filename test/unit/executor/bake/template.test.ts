import assert from "node:assert/strict";
import { test } from "node:test";
import { blocksOf, withLines } from "../../../../executor/bake/hcl.ts";
import { bakingOf } from "../../../../executor/bake/template.ts";
import { templateOf } from "../../../../executor/images/packer/template.ts";

const SETTINGS = {
  always: { region: "us-east-1", ami_name: "ours", security_group_id: "sg-1" },
  otherwise: { instance_type: "t3.small", source_ami: "ami-01234567", ssh_username: "admin" },
  tags: { "toroid:bake": "b" },
};
const PROVISIONERS = [["shell", { script: "/toroid/bake/unpack.sh" }]] as const;

function baked(name: string, text: string) {
  const made = bakingOf(templateOf(name, text), SETTINGS, PROVISIONERS);
  return typeof made === "string"
    ? { why: made, text: "", only: "" }
    : { why: "", text: Object.values(made.files).join("\n"), only: made.only };
}

test("blocks and attributes are found whatever strings, comments and heredocs have in them", () => {
  const text = `# source "x" "y" {
locals { a = "}\${ "{" }" /* { */ }
source "amazon-ebs" "web" {
  user_data = <<-EOT
    } source "no" "block" {
  EOT
  tags = { a = "{", b = [1, 2] } // }
  launch_block_device_mappings {
    device_name = "/dev/xvda"
  }
  region = "eu-west-1"
}
build { sources = ["a"] }
`;
  const [locals, source, build] = blocksOf(text);
  assert.deepEqual([locals?.type, source?.labels, build?.type], ["locals", ["amazon-ebs", "web"], "build"]);
  assert.deepEqual(
    source?.attributes.map(({ name }) => name),
    ["user_data", "tags", "region"],
  );
  assert.deepEqual(
    source?.blocks.map(({ type }) => type),
    ["launch_block_device_mappings"],
  );
  assert.ok(source !== undefined);
  const changed = withLines(text, source, new Set(["region", "launch_block_device_mappings"]), [
    'region = "us-east-1"',
  ]);
  const [, again] = blocksOf(changed);
  assert.deepEqual(
    again?.attributes.map(({ name }) => name),
    ["region", "user_data", "tags"],
  );
  assert.deepEqual(again?.blocks, []);
  assert.doesNotMatch(changed, /eu-west-1|xvda/);
});

test("what is no HCL is left to Packer", () => {
  for (const text of ["", "{", 'source "a', "x = ", "}", 'source "amazon-ebs" "x" {', "a = <<E\n"]) blocksOf(text);
});

test("a template's own source is run with our settings in place of its own, and no other credentials", () => {
  const own = `source "amazon-ebs" "web" {
  region = "eu-west-1"
  access_key = "AKIA"
  source_ami_filter {
    owners = ["self"]
  }
  security_group_filter {
    filters = { name = "open" }
  }
}
build {
  sources = ["source.null.toroid", "source.amazon-ebs.web"]
}
`;
  const { text, only } = baked("t.pkr.hcl", own);
  assert.equal(only, "*amazon-ebs.web");
  for (const there of ['region = "us-east-1"', 'ami_name = "ours"', "source_ami_filter", 'ssh_username = "admin"'])
    assert.ok(text.includes(there), there);
  for (const gone of ["eu-west-1", "AKIA", "security_group_filter", "source_ami ="])
    assert.ok(!text.includes(gone), gone);
  assert.match(
    text,
    /provisioner "shell" \{\n {4}script = "\/toroid\/bake\/unpack.sh"\n {4}only = \["amazon-ebs.web"\]/,
  );
});

test("a surrogate gets nothing of ours on its instance", () => {
  const { text, only } = baked(
    "t.pkr.hcl",
    'source "amazon-ebssurrogate" "s" {\n}\nbuild {\n  sources = ["source.amazon-ebssurrogate.s"]\n}\n',
  );
  assert.equal(only, "*amazon-ebssurrogate.s");
  assert.doesNotMatch(text, /provisioner/);
});

test("of several sources one has to be named, and one that no build is for is told", () => {
  const source = (name: string) => `source "amazon-ebs" "${name}" {\n}\n`;
  const build = 'build {\n  sources = ["source.amazon-ebs.a", "source.amazon-ebs.toroid"]\n}\n';
  assert.match(
    baked("t.pkr.hcl", `${source("a")}${source("b")}${build}`).why,
    /several sources for Amazon \(amazon-ebs\.a, amazon-ebs\.b\): name the one/,
  );
  assert.equal(baked("t.pkr.hcl", `${source("a")}${source("toroid")}${build}`).only, "*amazon-ebs.toroid");
  assert.match(baked("t.pkr.hcl", `${source("c")}${build}`).why, /add "source\.amazon-ebs\.c" to the `sources`/);
  assert.match(baked("t.pkr.hcl", "build {\n}\n").why, /add "source\.null\.toroid"/);
});

test("HCL that is written as JSON is baked as well", () => {
  const given = { build: { sources: ["source.null.toroid"], provisioner: { shell: { inline: ["true"] } } } };
  const { text, only } = baked("t.pkr.json", JSON.stringify(given));
  assert.equal(only, "*amazon-ebs.toroid");
  const read = JSON.parse(text) as { source: object; build: { sources: string[]; provisioner: object[] }[] };
  assert.deepEqual(read.build[0]?.sources, ["source.amazon-ebs.toroid"]);
  assert.equal(read.build[0]?.provisioner.length, 2);
  assert.match(JSON.stringify(read.source), /"amazon-ebs":\{"toroid":\{.*"region":"us-east-1"/);
});
