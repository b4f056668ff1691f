import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageAttributeValue } from "@aws-sdk/client-sqs";
import { CUT_ATTRIBUTE, deadLetter, REASON_ATTRIBUTE } from "../../../../../coordinator/intake/sqs/dead-letter.ts";

const MIB = 1024 * 1024;
const text = (value: string): MessageAttributeValue => ({ DataType: "String", StringValue: value });

test("a dead letter is the message as it came, and why", () => {
  const dead = deadLetter("hello", { "X-GitHub-Event": text("push") }, "the body is not JSON");
  assert.deepEqual(dead, {
    body: "hello",
    attributes: { "X-GitHub-Event": text("push"), [REASON_ATTRIBUTE]: text("the body is not JSON") },
  });
});

test("a dead letter that comes back and dies again says the newer reason", () => {
  const first = deadLetter("hello", {}, "old");
  assert.equal(deadLetter("hello", first.attributes, "new").attributes[REASON_ATTRIBUTE]?.StringValue, "new");
});

test("a message with ten attributes leaves room for the reason", () => {
  const ten = Object.fromEntries(Array.from({ length: 10 }, (_, i) => [`a${i}`, text("x")]));
  const { attributes } = deadLetter("hello", ten, "why");
  assert.ok(Object.keys(attributes).length <= 10);
  assert.equal(attributes[REASON_ATTRIBUTE]?.StringValue, "why");
});

test("a message that is as large as may be is cut by what the reason needs, between characters, and says so", () => {
  const body = "é".repeat(MIB / 2);
  const { body: kept, attributes } = deadLetter(body, {}, "why");
  const bytes = Object.entries(attributes).reduce(
    (sum, [name, value]) =>
      sum + Buffer.byteLength(name) + "String".length + Buffer.byteLength(value.StringValue ?? ""),
    Buffer.byteLength(kept),
  );
  assert.ok(bytes <= MIB && bytes > MIB - 4, `${bytes} bytes`);
  assert.equal(attributes[CUT_ATTRIBUTE]?.StringValue, String(MIB));
  assert.doesNotMatch(kept, /[^é]/);
});

test("a reason is text that SQS takes, whatever was in it", () => {
  const { attributes } = deadLetter("x", {}, `a\u0000b\ud800c\uffff${"d".repeat(5_000)}`);
  const reason = attributes[REASON_ATTRIBUTE]?.StringValue ?? "";
  assert.match(reason, /^a b\ufffdc d+$/);
  assert.equal(reason.length, 1_000);
});
