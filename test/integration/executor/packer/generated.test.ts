/** Repositories without a template, through `toroid run`: the image has `install` done, and stages have what it left. */
import assert from "node:assert/strict";
import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { noLeaksAfterAll } from "../../../support/leaks.ts";
import { programPath } from "../../../support/programs.ts";
import { needs } from "../../../support/skips.ts";
import { SANDBOX } from "../rig.ts";
import { endOf, PackerRig } from "./local-rig.ts";

const NEEDS = { root: true, path: SANDBOX, program: "git" } as const;
const T = { timeout: 120_000 };

noLeaksAfterAll();

/** What a package manager does: reads a list, writes to the system and to the checkout. */
const INSTALL = `#!/bin/sh
set -eu
echo "installing $(cat ../requirements.txt) of $WHO in $PWD"
mkdir -p vendor/empty
cp ../requirements.txt vendor/of-the-list
ln -s of-the-list vendor/link
echo changed >>lock.txt
cat /etc/hostname >/etc/installed 2>/dev/null || echo installed >/etc/installed
`;
const YML = `
image: { packer: true, files: [app/lock.txt] }
env: { WHO: "it's \\"ada\\" $HOME" }
workdir: app
install:
  - test "$CI" = true && ./ci/install.sh
  - 'echo "\${PWD} %{x}" >vendor/odd'
  - |
    if true; then
      touch vendor/several-lines
    fi
script: |
  cat vendor/of-the-list vendor/link vendor/odd lock.txt; ls vendor; test -s /etc/installed; cat unrelated; ls -l ci/install.sh | cut -c1-4
`;
const FILES = {
  ".toroid.yml": YML,
  "requirements.txt": "one\n",
  "app/lock.txt": "as committed\n",
  "app/unrelated": "1\n",
  "app/ci/install.sh": INSTALL,
};
const LOOK = (list: string, unrelated: string): string =>
  `${list}\n${list}\n/workspace/app %{x}\nas committed\nchanged\nempty\nlink\nodd\nof-the-list\nseveral-lines\n${unrelated}\n-rwx\n`;
const DONE = "<install>\ntoroid: the image has install done; what it left in the checkout is copied\n<script>\n";

for (const version of ["packer", "packer-1.9.4"]) {
  test(`install is done in the image by ${version}, once, and not by the stages`, T, async (t) => {
    if (!needs(t, { ...NEEDS, program: ["git", version] })) return;
    await using rig = await PackerRig.make(FILES, programPath(version) ?? "");
    await chmod(join(rig.repo.path, "app/ci/install.sh"), 0o755);
    const first = await rig.run();
    assert.equal(endOf(first), "passed: ", first.log);
    assert.match(first.log, /^<image>\n {4}# Made by Toroid of \.toroid\.yml[^]*\n {4}build \{\n/);
    assert.ok(first.log.includes('installing one of it\'s "ada" $HOME in /workspace/app\n'), first.log);
    assert.ok(first.log.endsWith(DONE + LOOK("one", "1")), first.log);

    await rig.repo.commit({ files: { "app/unrelated": "2\n" } });
    assert.equal((await rig.run()).log, DONE + LOOK("one", "2"));

    await rig.repo.commit({ files: { "requirements.txt": "two\n" } });
    const third = await rig.run();
    assert.match(third.log, /installing two/);
    assert.ok(third.log.endsWith(DONE + LOOK("two", "2")), third.log);
  });
}

test("an install that fails in the image fails the stage, and says what it had", T, async (t) => {
  if (!needs(t, { ...NEEDS, program: ["git", "packer"] })) return;
  const yml = "image: { packer: true }\ninstall: false && true\nscript: echo not reached\n";
  await using rig = await PackerRig.make({ ".toroid.yml": yml, Gemfile: "x\n" }, programPath("packer") ?? "");
  const told = await rig.run();
  assert.match(
    endOf(told),
    /^failed: Packer: .*exit status: 1\b.*; `install` had Gemfile of the checkout: what else it needs goes into `files` of `image`$/,
  );
  assert.ok(!told.log.includes("not reached"), told.log);
});

test("the same template in the repository does the same; with another install the stage runs its own", T, async (t) => {
  if (!needs(t, { ...NEEDS, program: ["git", "packer"] })) return;
  const yml = (install: string): string => `image: { packer: true }\ninstall: ${install}\nscript: cat made\n`;
  await using rig = await PackerRig.make({ ".toroid.yml": yml("echo one >made") }, programPath("packer") ?? "");
  const generated = await rig.run();
  const [, shown = ""] = /^<image>\n([^]*?^ {4}\}\n)/m.exec(generated.log) ?? [];
  await rig.repo.commit({ files: { ".packer": shown.replaceAll(/^ {4}/gm, "") } });
  const own = await rig.run();
  assert.equal(endOf(own), "passed: ", own.log);
  assert.ok(own.log.endsWith(`${DONE}one\n`), own.log);
  await rig.repo.commit({ files: { ".toroid.yml": yml("echo two >made") } });
  const other = await rig.run();
  assert.equal(other.log, "<install>\n<script>\ntwo\n", endOf(other));
});

test("a template in the root is used without being named, and `image: default` does without", T, async (t) => {
  if (!needs(t, { ...NEEDS, program: ["git", "packer"] })) return;
  const template =
    'build {\n  sources = ["source.null.toroid"]\n  provisioner "shell" { inline = ["echo made >/etc/made"] }\n}\n';
  const files = { ".toroid.yml": "script: cat /etc/made\n", ".packer": template };
  await using rig = await PackerRig.make(files, programPath("packer") ?? "");
  assert.match((await rig.run()).log, /^<image>\n[^]*<script>\nmade\n$/);
  await rig.repo.commit({ files: { ".toroid.yml": "image: default\nscript: test ! -e /etc/made && echo without\n" } });
  assert.equal((await rig.run()).log, "<script>\nwithout\n");
});
