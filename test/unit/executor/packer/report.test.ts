import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PackerReport, saidBy } from "../../../../executor/images/packer/report.ts";

const NAMES = { "/workspace/": "", ".packer.pkr.hcl": ".packer" };

/** What Packer 1.6.6 and 1.9.4 print, but for the times. */
function reportOf(lines: readonly string[]): { readonly shown: readonly string[]; readonly report: PackerReport } {
  const report = new PackerReport(NAMES);
  const shown = lines.flatMap((line) => report.take(`1795641919,${line}`) ?? []);
  return { shown, report };
}

test("a line is unescaped, and one in another form is somebody's output", () => {
  assert.deepEqual(saidBy("1,,ui,message,    a: b%!(PACKER_COMMA)c\\nd\\r"), { kind: "text", text: "    a: b,c\nd\r" });
  assert.deepEqual(saidBy("1,,ui,error,no"), { kind: "error", text: "no" });
  assert.deepEqual(saidBy("1,x,artifact-count,2"), { kind: "artifacts", count: 2 });
  assert.equal(saidBy("1,x,artifact,0,end"), null);
  assert.deepEqual(saidBy("a,b,c"), { kind: "text", text: "a,b,c" });
});

test("people read what provisioners print without the name of the only build, and nothing of how it is reached", () => {
  const { shown, report } = reportOf([
    ",ui,say,==> sandbox.null.toroid: Using ssh communicator to connect: 127.0.0.1",
    ",ui,say,==> sandbox.null.toroid: Provisioning with shell script: a.sh",
    ",ui,message,    sandbox.null.toroid: out",
    ",ui,error,==> sandbox.null.toroid: err",
    ",ui,say,Build 'sandbox.null.toroid' finished after 1 second.",
    ",ui,say,\\n==> Builds finished. The artifacts of successful builds are:",
    "sandbox.null.toroid,artifact-count,1",
    ",ui,say,--> sandbox.null.toroid: Did not export anything. This is the null builder",
  ]);
  assert.deepEqual(shown, [
    "==> Provisioning with shell script: a.sh",
    "out",
    "err",
    "Build 'sandbox.null.toroid' finished after 1 second.",
  ]);
  assert.deepEqual([report.artifacts, report.failure], [1, null]);
});

test("a provisioner that failed is the reason, whatever else was printed", () => {
  const { report } = reportOf([
    ",ui,error,==> null.toroid: Error: printed by a script",
    ",ui,error,Build 'null.toroid' errored after 11 milliseconds: Script exited with non-zero exit status: 7.",
    ",error-count,1",
    "null.toroid,error,Script exited with non-zero exit status: 7.Allowed exit codes are: [0]",
  ]);
  assert.equal(report.failure, "Script exited with non-zero exit status: 7.Allowed exit codes are: [0]");
  assert.equal(report.artifacts, 0);
});

for (const [title, line, says] of [
  [
    "by its place in the file that people know",
    'Error: Unknown provisioner type "nonesuch"\\n\\n  on /workspace/.packer.pkr.hcl line 3:\\n  (source code not available)\\n\\nknown provisioners: [ansible\\nshell]\\n\\n',
    'Unknown provisioner type "nonesuch" (.packer:3)',
  ],
  [
    "with what was found",
    'Error: Failed preparing provisioner-block "shell" ""\\n\\n  on .packer.pkr.hcl line 3:\\n  (source code not available)\\n\\n1 error(s) occurred:\\n\\n* Bad script \'none.sh\': stat none.sh: no such file or\\ndirectory\\n',
    'Failed preparing provisioner-block "shell" "": Bad script \'none.sh\': stat none.sh: no such file or directory (.packer:3)',
  ],
  [
    "with the plugins that are missing",
    "Error: Missing plugins\\n\\nThe following plugins are required%!(PACKER_COMMA) but not installed:\\n\\n* github.com/hashicorp/amazon >= 1.0.0\\n\\nDid you run packer init for this project ?\\n\\n",
    "Missing plugins: The following plugins are required, but not installed: github.com/hashicorp/amazon >= 1.0.0",
  ],
] as const) {
  test(`a template that Packer cannot read is told in one sentence, ${title}`, () => {
    assert.equal(reportOf([`,ui,error,${line}`]).report.failure, says);
  });
}

test("whatever is printed, a report takes it", () => {
  fc.assert(
    fc.property(fc.array(fc.string()), (lines) => {
      const report = new PackerReport(NAMES);
      for (const line of lines) report.take(line);
      assert.ok(report.artifacts === 0 || lines.some((line) => line.includes("artifact-count")));
    }),
  );
});
