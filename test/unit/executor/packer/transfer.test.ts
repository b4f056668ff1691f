/** What is read of `scp` clients and of Packer, byte by byte. */
import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader } from "../../../../executor/images/packer/inside/byte-reader.ts";
import { entryOf, scpOf } from "../../../../executor/images/packer/inside/scp.ts";
import { quoted } from "../../../../executor/images/packer/inside/target.ts";
import { linesOf } from "../../../../executor/images/packer/lines.ts";

test("of commands those are transfers that scp clients send, and no other", () => {
  assert.deepEqual(scpOf("scp -vt /tmp"), { direction: "to", recursive: false, word: "/tmp" });
  assert.deepEqual(scpOf("scp -rvt a\\ b"), { direction: "to", recursive: true, word: "a\\ b" });
  assert.deepEqual(scpOf('scp -v -f "/etc/it s"'), { direction: "from", recursive: false, word: '"/etc/it s"' });
  assert.deepEqual(scpOf("scp -rf -- -x"), { direction: "from", recursive: true, word: "-x" });
  for (const other of ["scp a b", "scp -v a", "scp -tf a", "scpx -t a", "echo scp -t a", "scp -t"])
    assert.equal(scpOf(other), null, other);
});

test("a header names a file or a directory here, and nothing elsewhere", () => {
  assert.deepEqual(entryOf("C0644 12 a file"), { kind: "file", mode: "644", bytes: 12, name: "a file" });
  assert.deepEqual(entryOf("D0755 0 d"), { kind: "directory", mode: "755", bytes: 0, name: "d" });
  for (const wrong of [
    "C0644 12 ..",
    "C0644 12 a/b",
    "C0644 -1 a",
    "C0944 1 a",
    "C0644 1 ",
    "X0644 1 a",
    "",
    "C0644 12 .",
  ])
    assert.equal(entryOf(wrong), null, wrong);
});

test("a word is quoted whatever is in it", () => assert.equal(quoted("it's $x"), "'it'\\''s $x'"));

test("however a stream is cut, lines and counted bytes come out of it", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 40 }),
      fc.integer({ min: 1, max: 9 }),
      async (data, size) => {
        const all = Buffer.concat([Buffer.from("C0644 1 x\n"), data, Buffer.from("E\n")]);
        const chunks = Array.from({ length: Math.ceil(all.length / size) }, (_, i) =>
          all.subarray(i * size, (i + 1) * size),
        );
        const reader = new ByteReader(Readable.from(chunks, { objectMode: true }));
        assert.equal(await reader.line(), "C0644 1 x");
        const sink = new PassThrough();
        await reader.into(sink, data.length);
        sink.end();
        assert.equal(await text(sink), Buffer.from(data).toString("utf8"));
        assert.equal(await reader.line(), "E");
        assert.equal(await reader.line(), null);
      },
    ),
  );
});

test("lines of a foreign stream are bounded, and nothing of them is lost", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ maxLength: 30 })), async (parts) => {
      const chunks = parts.map((part) => Buffer.from(part.replaceAll("\r", "")));
      const lines: string[] = [];
      for await (const line of linesOf(Readable.from(chunks), 8)) lines.push(line);
      assert.ok(lines.every((line) => line.length <= 8));
      assert.equal(lines.join(""), Buffer.concat(chunks).toString("utf8").replaceAll("\n", ""));
    }),
  );
});
