/** Ansible's provisioners: run where Packer is, by ssh; or in the image. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { noLeaksAfterAll } from "../../../support/leaks.ts";
import { programPath } from "../../../support/programs.ts";
import { needs } from "../../../support/skips.ts";
import { SANDBOX } from "../rig.ts";
import { endOf, PackerRig } from "./local-rig.ts";

const NEEDS = { root: true, path: SANDBOX } as const;
const T = { timeout: 180_000 };

noLeaksAfterAll();

const FILES = {
  ".toroid.yml": "image: { packer: .packer }\nscript: cat /etc/made /opt/dir/t\n",
  "ansible/site.yml": "- { hosts: all, gather_facts: false, roles: [web] }\n",
  "ansible/roles/web/tasks/main.yml": `- copy: { content: "made by ansible\\n", dest: /etc/made, mode: "0640" }
- file: { path: /opt/dir, state: directory }
- template: { src: t.j2, dest: /opt/dir/t }
`,
  "ansible/roles/web/templates/t.j2": "of {{ who }}\n",
};
const LOOK = "<script>\nmade by ansible\nof ada\n";

/** A build with one provisioner, of such settings. */
function template(kind: string, ...settings: readonly string[]): string {
  return `build {
  sources = ["source.null.toroid"]
  provisioner "${kind}" {
    playbook_file = "ansible/site.yml"
    extra_arguments = ["-e", "who=ada"]
    ${settings.join("\n    ")}
  }
}
`;
}

async function lookOf(packer: string, text: string): Promise<void> {
  await using rig = await PackerRig.make({ ...FILES, ".packer": text }, programPath(packer) ?? "");
  const told = await rig.run();
  assert.ok(told.log.endsWith(LOOK), `${endOf(told)}\n${told.log}`);
}

const program = ["git", "packer", "packer-1.9.4", "ansible-playbook", "ssh"];

for (const version of ["packer", "packer-1.9.4"]) {
  test(`a playbook with its roles, by the proxy of ${version}`, T, async (t) => {
    if (!needs(t, { ...NEEDS, program })) return;
    await lookOf(version, template("ansible"));
  });
}

test("a playbook without that proxy, by OpenSSH's sftp", T, async (t) => {
  if (!needs(t, { ...NEEDS, program })) return;
  const transfer = 'ansible_env_vars = ["ANSIBLE_SSH_TRANSFER_METHOD=sftp", "ANSIBLE_HOST_KEY_CHECKING=False"]';
  await lookOf("packer-1.9.4", template("ansible", "use_proxy = false", transfer));
});

test("a playbook in the image itself", T, async (t) => {
  if (!needs(t, { ...NEEDS, program })) return;
  await lookOf("packer", template("ansible-local", 'role_paths = ["ansible/roles/web"]'));
});
