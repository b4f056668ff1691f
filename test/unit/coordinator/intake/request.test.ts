import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readMessage } from "../../../../coordinator/intake/message.ts";
import { message } from "./payloads.ts";

const BUILD = { toroid: 1, repository: "acme/api", ref: "main" };
const ENVIRONMENT = { toroid: 1, repository: "acme/api", build: 42, environment: "prod" };

describe("a request of Toroid's own", () => {
  test("for a ref asks for a new build, fetched from where the last push came from", () => {
    assert.deepEqual(readMessage(message({ ...BUILD, key: "nightly-7" })), {
      kind: "request",
      key: "request:nightly-7",
      request: { what: "build", repository: "acme/api", ref: "main", remote: null, params: {} },
    });
  });

  test("for a build and an environment asks for one more round of it", () => {
    assert.deepEqual(readMessage(message({ ...ENVIRONMENT, params: { REGION: "eu-west-1", COUNT: 3, DRY: true } })), {
      kind: "request",
      key: "message:sqs-1",
      request: {
        what: "environment",
        repository: "acme/api",
        number: 42,
        environment: "prod",
        params: { REGION: "eu-west-1", COUNT: "3", DRY: "true" },
      },
    });
  });

  for (const remote of ["https://example.com/api.git", { https: "https://example.com/api.git", ssh: null }]) {
    test(`may say where to fetch from as ${typeof remote === "string" ? "text" : "an object"}`, () => {
      const read = readMessage(message({ ...BUILD, remote }));
      assert.deepEqual(read.kind === "request" && "remote" in read.request && read.request.remote, {
        https: "https://example.com/api.git",
        ssh: null,
      });
    });
  }

  test("comes through SNS and a wrapper as well", () => {
    const sns = { Type: "Notification", MessageId: "s-1", Message: JSON.stringify(BUILD) };
    const read = readMessage(message(sns));
    assert.equal(read.kind === "request" && read.key, "sns:s-1");
    assert.equal(readMessage(message({ headers: {}, body: JSON.stringify(BUILD) })).kind, "request");
  });

  test("without a key is told apart by its message: two that say the same are two, one delivered twice is one", () => {
    const keys = ["a", "b", "a"].map((id) => {
      const read = readMessage(message(BUILD, {}, id));
      return read.kind === "request" ? read.key : "";
    });
    assert.deepEqual(keys, ["message:a", "message:b", "message:a"]);
  });

  test("cannot smuggle a prototype in by its parameters", () => {
    const text = '{"toroid":1,"repository":"acme/api","ref":"main","params":{"__proto__":"x","constructor":"y"}}';
    const read = readMessage(message(text));
    const params = read.kind === "request" ? read.request.params : {};
    assert.equal(Object.getPrototypeOf(params), Object.prototype);
    assert.deepEqual(Object.keys(params), ["constructor"]);
  });

  const refused: readonly [string, object, string][] = [
    [
      "another version",
      { ...BUILD, toroid: 2 },
      "`toroid` of the request is not 1, the only version that this one reads",
    ],
    [
      "a misspelt field",
      { ...BUILD, enviroment: "prod" },
      "`enviroment` of the request is unknown: did you mean `environment`?",
    ],
    ["neither a ref nor a build", { toroid: 1, repository: "acme/api" }, "the request has neither `ref` nor `build`"],
    ["both", { ...ENVIRONMENT, ref: "main" }, "the request has both `ref` and `build`: one of them says what to run"],
    [
      "a build alone",
      { toroid: 1, repository: "acme/api", build: 4 },
      "`build` of the request needs `environment`: which one to run",
    ],
    [
      "an environment of a ref",
      { ...BUILD, environment: "prod" },
      "`environment` of the request needs `build`: only a build that is there can be requested into one",
    ],
    ["no repository", { toroid: 1, ref: "main" }, "`repository` of the request is missing"],
    ["no owner", { ...BUILD, repository: "api" }, "`repository` of the request is not an owner/name"],
    ["an option for a ref", { ...BUILD, ref: "--all" }, "`ref` of the request is not the name of a ref"],
    ["a build that is text", { ...ENVIRONMENT, build: "42" }, "`build` of the request is not a number"],
    [
      "a parameter with a strange name",
      { ...BUILD, params: { "A B": "x" } },
      "`params` of the request: `A B` is no name for a variable: a letter or `_`, then letters, digits or `_`",
    ],
    [
      "a parameter that is Toroid's to set",
      { ...BUILD, params: { TOROID_COMMIT: "x" } },
      "`params` of the request: `TOROID_COMMIT` is set by Toroid",
    ],
    [
      "an environment that is no name",
      { ...ENVIRONMENT, environment: "a b" },
      "`environment` of the request: `a b` is no name for an environment: a letter, then letters, digits, `-` or `_`, 63 at most",
    ],
    [
      "a list as a parameter",
      { ...BUILD, params: { A: [] } },
      "`params.A` of the request is neither a text (of 32 KiB at most) nor a number nor a boolean",
    ],
    ["a remote that is an option", { ...BUILD, remote: "--x" }, "`remote` of the request is not a URL"],
  ];
  for (const [what, content, reason] of refused) {
    test(`with ${what} is refused: ${reason}`, () => {
      assert.deepEqual(readMessage(message(content)), { kind: "refused", reason });
    });
  }
});
