/** Package managers inside a workspace, as root inside: owners, set-user-id files and file capabilities are theirs. */
import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import { NEEDS, type Rig, rig } from "../../abuse/rig.ts";
import { debianImage, Missing } from "../../support/debian.ts";
import { needs } from "../../support/skips.ts";

const SLOW = { timeout: 600_000 } as const;

describe("package managers in a Debian image", () => {
  let sandbox: Rig;
  let image = "";
  let why: string | undefined;
  const ready = (t: TestContext): boolean => needs(t, { ...NEEDS, other: why });

  before(async () => {
    sandbox = await rig();
    try {
      image = await debianImage();
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      why = `needs a Debian image: ${error.message}`;
    }
  }, SLOW);
  after(async () => {
    await sandbox.assertClean();
    await sandbox[Symbol.asyncDispose]();
  });

  /** The network is the host's, where Debian's mirror is. */
  const inside = (line: string): ReturnType<Rig["sh"]> =>
    sandbox.sh(line, ["--network", "host", "--env", "DEBIAN_FRONTEND=noninteractive"], { image });

  test(
    "apt installs, with users, owners, set-user-id bits and file capabilities as the packages have them",
    SLOW,
    async (t) => {
      if (!ready(t)) return;
      const { code, stdout, stderr } = await inside(`set -e
      apt-get -qq update >/dev/null
      apt-get -qq -y install --no-install-recommends iputils-ping openssh-client libcap2-bin ruby >/dev/null 2>&1
      stat -c 'ssh-keysign %U %G %a' /usr/lib/openssh/ssh-keysign
      stat -c 'ssh-agent %G %a' /usr/bin/ssh-agent
      getcap /usr/bin/ping
      useradd --create-home --shell /bin/sh builder
      install -o builder -g builder /dev/null /srv/of-builder
      chown builder:adm /srv/of-builder
      stat -c 'of-builder %U %G' /srv/of-builder
      chown 65533:65533 /srv/of-builder
      su builder -c 'id -un; touch ~/mine; stat -c "%U" ~/mine'
      su builder -c 'ping -V >/dev/null && echo "a file with capabilities is executed"'
      mknod /srv/null c 1 3 2>/dev/null || echo 'no node'`);
      assert.equal(code, 0, stderr);
      assert.deepEqual(stdout.trim().split("\n"), [
        "ssh-keysign root root 4755",
        "ssh-agent _ssh 2755",
        "/usr/bin/ping cap_net_raw=ep",
        "of-builder builder adm",
        "builder",
        "builder",
        "a file with capabilities is executed",
        "no node",
      ]);
    },
  );

  test("gem installs what it built, its executables among it", SLOW, async (t) => {
    if (!ready(t)) return;
    const { code, stdout, stderr } = await inside(`set -e
      apt-get -qq update >/dev/null
      apt-get -qq -y install --no-install-recommends ruby >/dev/null 2>&1
      mkdir -p /srv/hello/bin && cd /srv/hello
      printf '#!/usr/bin/env ruby\\nputs "hello from a gem"\\n' > bin/hello-gem
      printf 'Gem::Specification.new { |s| s.name="hello"; s.version="1.0"; s.summary="s"; s.authors=["a"]; s.files=["bin/hello-gem"]; s.executables=["hello-gem"] }\\n' > hello.gemspec
      gem build -q hello.gemspec >/dev/null 2>&1
      gem install -q --local --no-document hello-1.0.gem >/dev/null
      hello-gem`);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.trim(), "hello from a gem");
  });
});

test("npm installs on the host's image, links and executables among it", SLOW, async (t) => {
  if (!needs(t, { ...NEEDS, program: "npm" })) return;
  await using sandbox = await rig();
  const { code, stdout, stderr } = await sandbox.sh(
    `set -e
      mkdir -p /srv/lib /srv/app && cd /srv/lib
      printf '{"name":"lib","version":"1.0.0","bin":{"lib":"cli.js"}}' > package.json
      printf '#!/usr/bin/env node\\nconsole.log("hello from npm as", process.getuid())\\n' > cli.js
      cd /srv/app && npm init -y >/dev/null && npm install --offline --no-audit --no-fund ../lib >/dev/null
      npx --offline lib`,
    ["--env", "HOME=/tmp"],
  );
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim(), "hello from npm as 0");
  await sandbox.assertClean();
});
