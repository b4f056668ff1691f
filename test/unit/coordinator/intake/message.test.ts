import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import fc from "fast-check";
import { type Intake, readMessage } from "../../../../coordinator/intake/message.ts";
import { push as pushSchema } from "../../../../protocol/work.ts";
import { message, payload } from "./payloads.ts";

const DATA = join(import.meta.dirname, "..", "..", "..", "data", "github", "push");
const NO_COMMIT = "0".repeat(40);

/** What each real payload is; a new file in the directory must be added here. */
const REAL: Record<string, string> = {
  "branch-created": "push refs/heads/master 6113728 after nothing",
  "committer-without-username": "push refs/heads/master 6113728 after nothing",
  "push-branch-create": "push refs/heads/feature-branch d2b75aa after nothing",
  "push-branch-delete": "ignored: a deleted branch builds nothing",
  "push-tag": "push refs/tags/v0.0.1 d2b75aa after nothing",
  "push-tag-delete": "ignored: a deleted tag builds nothing",
  "tag-deleted": "ignored: a deleted tag builds nothing",
  push: "push refs/heads/master 199eddf after a10867b",
};

function outline(read: Intake): string {
  if (read.kind === "ignored" || read.kind === "refused") return `${read.kind}: ${read.reason}`;
  if (read.kind === "request") return `request ${read.request.what}`;
  const { ref, commit, before } = read.push;
  return `push ${ref} ${commit?.slice(0, 7)} after ${before?.slice(0, 7) ?? "nothing"}`;
}

function reasonOf(read: Intake): string {
  assert.equal(read.kind, "refused");
  return read.kind === "refused" ? read.reason : "";
}

describe("a push of GitHub", () => {
  test("every recorded payload is in the table", () => {
    const files = readdirSync(DATA).filter((name) => name.endsWith(".json"));
    assert.deepEqual(files.map((name) => name.slice(0, -".json".length)).sort(), Object.keys(REAL).sort());
  });

  for (const [name, expected] of Object.entries(REAL)) {
    test(`${name}.json is read as "${expected}"`, () => {
      assert.equal(outline(readMessage(message(payload(name)))), expected);
    });
  }

  test("becomes a push with what is needed to build and to name it", () => {
    const read = readMessage(message(payload("push"), { "X-GitHub-Event": "push", "X-GitHub-Delivery": "72d3162e" }));
    assert.deepEqual(read, {
      kind: "push",
      key: "delivery:72d3162e",
      push: {
        repository: "Codertocat/Hello-World",
        repositoryId: 135493233,
        remote: {
          https: "https://github.com/Codertocat/Hello-World.git",
          ssh: "git@github.com:Codertocat/Hello-World.git",
        },
        ref: "refs/heads/master",
        before: "a10867b14bb761a232cd80139fbd4c0d33264240",
        commit: "199eddf46df50de8d02e99bf1c5fdb4101338224",
        created: false,
        forced: false,
        defaultBranch: "master",
        message: "Update README",
        author: "Codertocat",
        deliveryId: "72d3162e",
        people: ["Codertocat"],
        params: {},
      },
    });
  });

  test("of an annotated tag builds the commit, not the tag object", () => {
    const tagged = payload("push-tag", { after: "a".repeat(40) });
    assert.equal(outline(readMessage(message(tagged))), "push refs/tags/v0.0.1 d2b75aa after nothing");
  });

  test("without a head commit builds what it moved to", () => {
    const bare = payload("push-branch-create", { head_commit: null, commits: [] });
    assert.equal(outline(readMessage(message(bare))), "push refs/heads/feature-branch d2b75aa after nothing");
  });

  test("of a ref that is neither a branch nor a tag is ignored", () => {
    const notes = payload("push", { ref: "refs/notes/commits" });
    assert.equal(outline(readMessage(message(notes))), "ignored: refs/notes/commits is neither a branch nor a tag");
  });

  test("keeps hostile strings as data", () => {
    const branch = "refs/heads/$(reboot);`id`'\"&|<>";
    const text = 'x"; rm -rf / #\n${IFS}\u0000\u001b[2J\u202e';
    const head = { id: "b".repeat(40), message: text, author: { name: text } };
    const read = readMessage(message(payload("push", { ref: branch, head_commit: head })));
    assert.equal(read.kind, "push");
    assert.deepEqual(read.kind === "push" && [read.push.ref, read.push.message, read.push.author], [
      branch,
      text,
      text,
    ]);
  });

  test("carries a commit message of any length, cut", () => {
    const head = { id: "b".repeat(40), message: "m".repeat(500_000), author: null };
    const read = readMessage(message(payload("push", { head_commit: head })));
    assert.equal(read.kind === "push" && read.push.message.length, 16 * 1024);
  });

  const hostileRefs = [
    "main",
    "--upload-pack=touch",
    "refs/heads/a b",
    "refs/heads/a\nb",
    "refs/heads/../../x",
    "refs/heads/a..b",
    "refs/heads/a.lock",
    "refs/heads/",
    "refs/heads/a^{}",
    "refs/heads/a:b",
  ];
  for (const ref of hostileRefs) {
    test(`of ${JSON.stringify(ref)} is refused, naming the field`, () => {
      assert.equal(
        reasonOf(readMessage(message(payload("push", { ref })))),
        "`ref` of the push is not the name of a ref",
      );
    });
  }

  const repository = payload("push")["repository"] as Record<string, unknown>;
  const malformed: readonly [string, Record<string, unknown>, string][] = [
    ["no after", { after: undefined }, "`after` of the push is missing"],
    ["a short after", { after: "abc" }, "`after` of the push is not of the right form"],
    ["a before of another kind", { before: 5 }, "`before` of the push is not a string"],
    ["a repository that is text", { repository: "acme/api" }, "`repository` of the push is not an object"],
    [
      "no full name",
      { repository: { ...repository, full_name: undefined } },
      "`repository.full_name` of the push is missing",
    ],
    [
      "a full name that climbs",
      { repository: { ...repository, full_name: "../../etc" } },
      "`repository.full_name` of the push is not an owner/name",
    ],
    [
      "a URL that is an option",
      { repository: { ...repository, clone_url: "--upload-pack=touch /tmp/x" } },
      "`repository.clone_url` of the push is not a URL",
    ],
    ["a head commit without an id", { head_commit: { message: "x" } }, "`head_commit.id` of the push is missing"],
  ];
  for (const [what, changes, reason] of malformed) {
    test(`with ${what} is refused: ${reason}`, () => {
      assert.equal(reasonOf(readMessage(message(payload("push", changes)))), reason);
    });
  }
});

describe("identity", () => {
  const sns = (over: Record<string, unknown> = {}): Record<string, unknown> => ({
    Type: "Notification",
    MessageId: "sns-1",
    Message: JSON.stringify(payload("push")),
    ...over,
  });
  const keyOf = (read: Intake): string | null => ("key" in read ? read.key : null);

  test("is the delivery id, under any spelling of the attribute", () => {
    for (const name of ["X-GitHub-Delivery", "x-github-delivery", "X-Github-Delivery", "X-GITHUB-DELIVERY"]) {
      assert.equal(keyOf(readMessage(message(payload("push"), { [name]: "d-1" }))), "delivery:d-1");
    }
  });

  test("is the SNS id when there is no delivery id, and the delivery id when there is", () => {
    assert.equal(keyOf(readMessage(message(sns()))), "sns:sns-1");
    assert.equal(keyOf(readMessage(message(sns(), { "X-GitHub-Delivery": "d-1" }))), "delivery:d-1");
  });

  test("is what was pushed when there is neither: the same in another message, another for another push", () => {
    const first = keyOf(readMessage(message(payload("push"), {}, "sqs-1")));
    assert.match(first ?? "", /^push:[0-9a-f]{32}$/);
    assert.equal(keyOf(readMessage(message(payload("push"), {}, "sqs-2"))), first);
    assert.notEqual(keyOf(readMessage(message(payload("push", { before: NO_COMMIT })))), first);
    assert.notEqual(keyOf(readMessage(message(payload("push", { ref: "refs/heads/x" })))), first);
  });

  test("does not depend on the name of the repository, which may change", () => {
    const repository = { ...(payload("push")["repository"] as object), full_name: "acme/renamed" };
    assert.equal(
      keyOf(readMessage(message(payload("push", { repository })))),
      keyOf(readMessage(message(payload("push")))),
    );
  });

  test("stays short and plain whatever the delivery id is", () => {
    for (const id of ["x".repeat(5_000), "a b", "\u0000", "né"]) {
      assert.match(
        keyOf(readMessage(message(payload("push"), { "X-GitHub-Delivery": id }))) ?? "",
        /^delivery:[0-9a-f]{32}$/,
      );
    }
  });
});

describe("an envelope", () => {
  const push = payload("push");
  const text = JSON.stringify(push);
  const headers = { "x-github-event": "push", "X-GitHub-Delivery": "d-7" };
  const wrapped: readonly [string, unknown, Record<string, string>][] = [
    ["a bare push without attributes", push, {}],
    ["a bare push with attributes", push, headers],
    [
      "SNS",
      {
        Type: "Notification",
        MessageId: "s",
        Message: text,
        MessageAttributes: { "X-Github-Event": { Type: "String", Value: "push" } },
      },
      {},
    ],
    ["headers and a payload", { headers, payload: push }, {}],
    ["headers and a body that is text", { headers, body: text }, {}],
    ["headers and raw bytes", { headers, bodyRaw: text }, {}],
    ["headers as lists", { headers: { "X-GitHub-Event": ["push"] }, body: text }, {}],
    ["a Lambda proxy event", { requestContext: {}, headers, body: text, isBase64Encoded: false }, {}],
    [
      "a Lambda proxy event in base64",
      { requestContext: {}, headers, body: Buffer.from(text).toString("base64"), isBase64Encoded: true },
      {},
    ],
    ["EventBridge", { source: "github.com", "detail-type": "push", detail: push }, {}],
    ["a form", `payload=${encodeURIComponent(text)}`, headers],
    [
      "SNS around a wrapper",
      { Type: "Notification", MessageId: "s", Message: JSON.stringify({ headers, body: text }) },
      {},
    ],
  ];
  for (const [what, content, attributes] of wrapped) {
    test(`${what} is taken off`, () => {
      assert.equal(outline(readMessage(message(content, attributes))), "push refs/heads/master 199eddf after a10867b");
    });
  }

  const ignored: readonly [string, unknown, Record<string, string>, string][] = [
    [
      "a ping",
      { zen: "Speak like a human.", hook_id: 1, hook: {} },
      { "X-GitHub-Event": "ping" },
      'the event "ping" builds nothing',
    ],
    ["a ping whose event was lost", { zen: "Speak.", hook_id: 1 }, {}, 'the event "ping" builds nothing'],
    [
      "another event",
      { action: "opened", repository: {} },
      { "x-github-event": "pull_request" },
      'the event "pull_request" builds nothing',
    ],
    [
      "the creation of a branch",
      { ref: "x", ref_type: "branch", repository: {} },
      {},
      'the event "create or delete" builds nothing',
    ],
    [
      "a dispatch",
      { ref: "refs/heads/x", workflow: "w", repository: {} },
      {},
      'the event "workflow_dispatch" builds nothing',
    ],
    [
      "an event of EventBridge",
      { "detail-type": "issues", detail: { repository: {} } },
      {},
      'the event "issues" builds nothing',
    ],
    ["the end of a subscription", { Type: "UnsubscribeConfirmation", Message: "x" }, {}, "an SNS subscription ended"],
  ];
  for (const [what, content, attributes, reason] of ignored) {
    test(`${what} is ignored: ${reason}`, () => {
      assert.deepEqual(readMessage(message(content, attributes)), { kind: "ignored", reason });
    });
  }

  const refused: readonly [string, unknown, RegExp][] = [
    ["text that is not JSON", "hello", /^the body is not JSON$/],
    ["nothing", "", /^the body is not JSON$/],
    ["null", "null", /^the body is null, not an object$/],
    ["a number", "5", /^the body is a number/],
    ["a list", "[]", /^the body is a list, not an object$/],
    ["a pointer to S3", ["software.amazon.payloadoffloading.PayloadS3Pointer", {}], /pointer to S3 .* cannot fetch$/],
    ["an object of no kind", { hello: 1 }, /neither a push nor a request/],
    ["SNS around text", { Type: "Notification", Message: "hi" }, /^`Message` of the SNS envelope is not JSON$/],
    ["SNS around nothing", { Type: "Notification", Message: 1 }, /^`Message` of the SNS envelope is not a string$/],
    ["an unconfirmed subscription", { Type: "SubscriptionConfirmation", Message: "x" }, /waits for its confirmation/],
    ["a wrapper with no content", { headers: {} }, /none of `payload`, `body` and `bodyRaw`/],
    ["a wrapper with bad base64", { headers: {}, body: "%%%", isBase64Encoded: true }, /is not base64/],
  ];
  for (const [what, content, reason] of refused) {
    test(`${what} is refused with a sentence that says so`, () => {
      assert.match(reasonOf(readMessage(message(content))), reason);
    });
  }

  test("a body over 1 MiB is refused by its size, unread", () => {
    const raw = { body: new Uint8Array(1024 * 1024 + 1).fill(0x20), attributes: {}, id: "1" };
    assert.equal(reasonOf(readMessage(raw)), "a body of 1048577 bytes is over the limit of 1048576");
  });

  test("a body that is not UTF-8 is refused", () => {
    const raw = { body: Uint8Array.of(0x7b, 0xff, 0x7d), attributes: {}, id: "1" };
    assert.equal(reasonOf(readMessage(raw)), "the body is not UTF-8");
  });

  test("envelopes in envelopes without end are refused", () => {
    let content: unknown = push;
    for (let i = 0; i < 50; i += 1) content = { headers: {}, payload: content };
    assert.match(reasonOf(readMessage(message(content))), /too many envelopes/);
  });
});

describe("any bytes", () => {
  test("are answered, never thrown at", () => {
    const names = fc.constantFrom(
      "toroid",
      "ref",
      "repository",
      "Type",
      "Message",
      "headers",
      "body",
      "payload",
      "detail-type",
      "detail",
      "after",
      "before",
      "params",
      "__proto__",
    );
    const value = fc.letrec((tie) => ({
      any: fc.oneof({ maxDepth: 4 }, fc.json(), fc.constantFrom("Notification", "push", 1, null, true), tie("object")),
      object: fc.dictionary(names, tie("any"), { maxKeys: 6 }),
    })).object;
    fc.assert(
      fc.property(
        fc.oneof(
          value.map((v) => JSON.stringify(v)),
          fc.string(),
          fc.json(),
        ),
        (text) => {
          const read = readMessage(message(text));
          assert.ok(["push", "request", "ignored", "refused"].includes(read.kind));
          if (read.kind === "push") pushSchema.parse(read.push);
        },
      ),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (body) => {
        assert.equal(typeof readMessage({ body, attributes: {}, id: "1" }).kind, "string");
      }),
    );
  });
});
