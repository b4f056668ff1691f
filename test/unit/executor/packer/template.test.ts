import assert from "node:assert/strict";
import { test } from "node:test";
import {
  environmentOf,
  filesOf,
  namesIn,
  templateOf,
  variablesIn,
  wordsOf,
} from "../../../../executor/images/packer/template.ts";

test("a template is of the language that its name says, else its text", () => {
  const formOf = (name: string, text: string) => {
    const { form, file } = templateOf(name, text);
    return `${form} ${file}`;
  };
  assert.equal(formOf(".packer", 'build {\n  sources = ["source.null.toroid"]\n}'), "hcl .packer.pkr.hcl");
  assert.equal(formOf("ci/app.pkr.hcl", "{"), "hcl app.pkr.hcl");
  assert.equal(formOf("app.pkr.json", "{}"), "hcl app.pkr.json");
  assert.equal(formOf(".packer", ' {"build": {}}'), "hcl .packer.pkr.json");
  assert.equal(formOf(".packer", '{"provisioners": []}'), "json .packer.json");
  assert.equal(formOf("packer.json", "{ broken"), "json packer.json");
});

test("an HCL template gets a file beside it, and has to name the source in it", () => {
  const made = filesOf(templateOf(".packer", 'build { sources = ["source.null.toroid"] }'));
  assert.ok(typeof made === "object");
  assert.deepEqual(Object.keys(made), [".packer.pkr.hcl", "toroid-source.pkr.hcl"]);
  assert.match(made["toroid-source.pkr.hcl"] ?? "", /^# .+\nsource "null" "toroid" \{\n {2}communicator = "ssh"\n/);
  const why = filesOf(templateOf(".packer", "build {}"));
  assert.match(typeof why === "string" ? why : "", /add "source\.null\.toroid" to the `sources`/);
});

test("a JSON template keeps its builders and gets ours; a broken one is Packer's to judge", () => {
  const made = filesOf(templateOf("a.json", '{"builders": [{"type": "amazon-ebs"}], "provisioners": [1]}'));
  assert.ok(typeof made === "object");
  const { builders, provisioners } = JSON.parse(made["a.json"] ?? "");
  assert.deepEqual(
    [builders.map((one: { type: string; name?: string }) => [one.type, one.name]), provisioners],
    [
      [
        ["amazon-ebs", undefined],
        ["null", "toroid"],
      ],
      [1],
    ],
  );
  assert.deepEqual(filesOf(templateOf("a.json", "{ broken")), { "a.json": "{ broken" });
});

test("only the builds for a container are run", () => {
  assert.deepEqual(wordsOf(templateOf(".packer", "build {}"), "/workspace/ci").slice(-3), [
    "-only",
    "*null.toroid",
    "/workspace/ci",
  ]);
  assert.deepEqual(wordsOf(templateOf("a.json", "{}"), "/workspace").slice(-2), ["toroid", "/workspace/a.json"]);
});

test("what may be a path of the checkout is found, however it is written", () => {
  const names = (text: string) => namesIn(text).join(" | ");
  assert.equal(names('script = "install.sh"'), "install.sh");
  assert.equal(names('source = "./a dir/b"'), "a | a dir/b | dir/b");
  assert.equal(names('source = "${path.root}/files/x"'), "files/x");
  assert.equal(names('source = "files/${var.name}.conf"'), ".conf | files");
  assert.equal(names('"source": "{{template_dir}}/a b"'), "a | a b");
  assert.equal(names('source = fileset(".", "conf/*.d")'), ". | .d | conf");
  assert.equal(names('inline = ["tar xf pkg/a.tar && make app"]'), "pkg/a.tar | tar xf pkg/a.tar && make app");
  assert.equal(names('source = "../../etc/passwd"'), "");
  assert.equal(names('source "amazon-ebs" "app" {'), "");
  assert.equal(names('{"script": "a.sh",\n"scripts": ["b.sh", "c.sh"]}'), "a.sh | b.sh | c.sh");
  assert.equal(names('source = "."'), ".");
  assert.equal(names('playbook_file = "${path.root}/ci/a.yml"'), "ci | ci/a.yml");
  assert.equal(names('"playbook_files": ["a.yml"]'), "a.yml | ansible.cfg | group_vars | host_vars | roles");
  assert.equal(names("script = <<EOF\n  sh bin/setup\nEOF"), "bin/setup");
});

test("of the variables those count that the text speaks of, and Packer reads them in either way", () => {
  const used = variablesIn('variable "NODE" {}\nenv("HOST_A")\nvar.given', {
    NODE: "26",
    HOST_A: "a",
    HOST: "unused",
    PKR_VAR_given: "g",
    PKR_VAR_other: "unused",
  });
  assert.deepEqual(used, { HOST_A: "a", NODE: "26", PKR_VAR_given: "g" });
  assert.deepEqual(environmentOf({ NODE: "26", PKR_VAR_NODE: "22" }), { NODE: "26", PKR_VAR_NODE: "22" });
  assert.deepEqual(environmentOf({ A: "1" }), { A: "1", PKR_VAR_A: "1" });
});
