import assert from "node:assert/strict";
import { test } from "node:test";
import { installedText } from "../../../../protocol/pipeline/generated-template.ts";
import { lint, type Tree } from "../../../../protocol/pipeline/plan.ts";
import { PUSH, planned } from "./support.ts";

const tree = (template: Tree["template"], ...files: readonly string[]): Tree => ({ template, files });
const NONE = tree("none", "Gemfile", "Gemfile.lock", "lib/a.rb", "api/package.json", "api/src/a.js", "Makefile");

/** The template that is made for `text` in a commit of `there`. */
function made(text: string, there: Tree = NONE): string | null {
  const [image] = planned(text, { ...PUSH, tree: there }).stages.map((stage) => stage.image);
  assert.ok(image?.kind === "packer");
  return image.text;
}

/** What of the checkout it takes. */
function takes(install: string, there: Tree, more = ""): readonly string[] {
  const text = made(`image: { packer: true${more} }\ninstall: ${JSON.stringify(install)}\nscript: make\n`, there) ?? "";
  const lists = [...text.matchAll(/sources {5}= (\[.*\])/g)].map(([, list = ""]) => JSON.parse(list) as string[]);
  return lists.flat().sort();
}

const GEM = `# Made by Toroid of .toroid.yml, for the repository has no .packer: the image is its base with \`install\` done.
# \`toroid init --packer\` writes this file. From then on it is yours, and used as it is.

# Of \`env\`; a build sets what it is there.
variable "RAILS_ENV" {
  default = "test"
}

build {
  # The container that Toroid makes the image in.
  sources = ["source.null.toroid"]

  provisioner "shell" {
    inline = ["mkdir -p /workspace"]
  }

  # What \`install\` needs of the checkout: when any of it changes, the image is made anew.
  provisioner "file" {
    sources     = ["Gemfile", "Gemfile.lock"]
    destination = "/workspace/"
  }

  # \`install\` of .toroid.yml.
  provisioner "shell" {
    inline_shebang   = "/bin/sh -eu"
    environment_vars = ["CI=true", "TOROID=true", "RAILS_ENV=\${var.RAILS_ENV}"]
    inline = [
      "cd /workspace",
      "bundle install",
    ]
  }

  # What it left in the checkout, for the stages: each has a checkout of its own, copies this into it, and does not run
  # \`install\` again as long as it is the one that has this mark.
  provisioner "shell" {
    inline = [
      "mkdir -p /var/lib/toroid",
      "rm -rf /var/lib/toroid/checkout",
      "mv /workspace /var/lib/toroid/checkout",
      "echo MARK >/var/lib/toroid/installed",
    ]
  }
}
`;

test("a repository without a template has one made of its install", () => {
  const text = made("image: { packer: .packer }\nenv: { RAILS_ENV: test }\ninstall: bundle install\nscript: rake\n");
  const mark = /echo ([0-9a-f]{16}) /.exec(text ?? "")?.[1] ?? "none";
  assert.equal(text?.replace(mark, "MARK"), GEM);
  assert.equal(
    made("image: { packer: true }\nenv: { RAILS_ENV: test }\ninstall: bundle install\nscript: rake\n"),
    text,
  );
  // The stage looks for the same mark, and another install has another.
  assert.ok(installedText(["bundle install"], ".").includes(`= ${mark} ]`));
  assert.ok(!installedText(["bundle install"], "api").includes(mark));
  assert.ok(!installedText(["bundle", "install"], ".").includes(mark));
});

test("stages of a matrix and environments have the same text, with variables in it", () => {
  const text =
    'image: { packer: true }\nmatrix: { N: ["1", "2"] }\ninstall: make\nenvironments: { prod: { run: x } }\n';
  const { stages } = planned(text, { ...PUSH, tree: NONE });
  const texts = stages.map(({ image }) => (image.kind === "packer" ? image.text?.replace(/default = .*/, "") : null));
  assert.equal(texts.length, 3);
  assert.equal(new Set(texts).size, 1);
  assert.match(texts[0] ?? "", /environment_vars = \["CI=true", "TOROID=true", "N=\$\{var\.N\}"\]/);
});

test("a template that is there is used, and told by nothing when it is a file", () => {
  assert.equal(made("image: { packer: .packer }\nscript: make\n", tree("file")), null);
  assert.equal(made("image: { packer: true }\nscript: make\n", tree("other", ".packer/a.pkr.hcl")), null);
  assert.equal(made("image: { packer: ci/a.pkr.hcl }\nscript: make\n"), null);
  assert.equal(made("script: make\nenvironments: { prod: { run: x } }\n", tree("file")), null);
  const kinds = (text: string, there: Tree) =>
    planned(text, { ...PUSH, tree: there }).stages.map(({ image }) => image.kind);
  assert.deepEqual(kinds("script: make\nenvironments: { prod: { run: x } }\n", tree("file")), ["packer", "packer"]);
  assert.deepEqual(kinds("script: make\nimage: default\n", tree("file")), ["default"]);
  // Who says nothing of Packer and has no template pays nothing for it, and runs `install` where it ran before.
  assert.deepEqual(kinds("install: make\nscript: make\n", tree("other")), ["default"]);
  assert.deepEqual(kinds("install: make\nkind: application\nenvironments: { p: { run: x } }\n", NONE), [
    "default",
    "default",
  ]);
});

test("install takes what package managers read, what it names, and what the file says", () => {
  const web = ["web/package.json", "web/package-lock.json", "web/src/a.js"];
  const ci = ["ci/install.sh", "ci/other.sh", "Makefile", "requirements-dev.txt", "odd name.txt", "docs/Gemfile"];
  const there = tree("none", "Gemfile", "a.gemspec", "lib/a.rb", ...web, ...ci);
  const root = ["Gemfile", "a.gemspec", "requirements-dev.txt"];
  assert.deepEqual(takes("bundle install", there), root);
  assert.deepEqual(takes("cd web && npm ci", there), [...root, "web/package-lock.json", "web/package.json"]);
  assert.deepEqual(takes("./ci/install.sh --all", there), ["ci/install.sh", ...root].sort());
  assert.deepEqual(takes("make deps", there), ["Gemfile", "Makefile", "a.gemspec", "requirements-dev.txt"]);
  assert.deepEqual(takes("pip install .", there), ["./"]);
  assert.deepEqual(takes(". ci/other.sh", there), ["ci/other.sh", ...root].sort());
  const given = ["Gemfile", "a.gemspec", "ci/other.sh", "lib", "requirements-dev.txt"];
  assert.deepEqual(takes("bundle install", there, ", files: [lib, ./ci/other.sh]"), given);
});

test("text that HCL, a shell or Packer would read otherwise reaches them as it is, or is told", () => {
  const install = "echo \"${HOME}\" '%{http_code}' $${X} \\\\n\ta && b";
  const text = made(`image: { packer: true }\ninstall: ${JSON.stringify(install)}\nscript: x\n`) ?? "";
  const raw = String.raw`"echo \"$DHOME}\" '%%{http_code}' \u0024$DX} \\\\n\ta && b",`;
  const expected = raw.replaceAll("$D", () => "$".repeat(2) + "{");
  assert.ok(text.includes(expected), text);
  assert.ok(text.includes('"case $? in 0) ;; *) exit $? ;; esac",'), text);
});

const PROBLEMS: readonly (readonly [string, RegExp])[] = [
  ["image: { packer: true }\nscript: x\n", /there is no `\.packer`, and without an `install` nothing to make one of/],
  ["image: { packer: true }\ninstall: 'a {{x}}'\nscript: x\n", /`\{\{` in `install` is Packer's own/],
  ["image: { packer: true }\nenv: { A: '{{' }\ninstall: a\n", /`\{\{` in the variable `A` is Packer's own/],
  ["image: { packer: true, files: [nope, lib] }\ninstall: a\n", /`files` has nope, which is not in the checkout/],
];

for (const [text, expected] of PROBLEMS) {
  test(`told before anything runs: ${expected.source}`, () => {
    const problems = lint(".toroid.yml", text, NONE);
    assert.equal(problems.length, 1);
    assert.match(problems[0]?.message ?? "", expected);
    assert.equal(problems[0]?.line, 1);
    assert.deepEqual(lint(".toroid.yml", text), []);
  });
}
