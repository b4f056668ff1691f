/** Artifacts in a bucket of a real S3-compatible server: what is kept, and what is said when it cannot be. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, beforeEach, test } from "node:test";
import {
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import { type BucketConfig, BucketStore } from "../../../executor/artifacts/bucket.ts";
import { BUCKET, BUCKET_CREDENTIALS, BUCKET_REGION, BucketServer, type Fault } from "../../support/bucket.ts";
import { EC2_CREDENTIALS, EC2_REGION, Ec2Server } from "../../support/ec2.ts";
import { needs } from "../../support/skips.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";

const T = { timeout: 60_000 };
const MIB = 1024 ** 2;
const never = new AbortController().signal;

let server: BucketServer;
let dir: TempDir;

before(async () => {
  server = await BucketServer.start();
  dir = await tempDir("toroid-bucket-");
});
beforeEach(() => {
  server.fault = () => null;
  server.asked.length = 0;
});
after(async () => {
  await server?.[Symbol.asyncDispose]();
  await dir?.[Symbol.asyncDispose]();
});

function store(over: Partial<BucketConfig> = {}): BucketStore {
  const { endpoint } = server;
  const place = { bucket: BUCKET, prefix: "ci/", endpoint, region: BUCKET_REGION, credentials: BUCKET_CREDENTIALS };
  return new BucketStore({ ...place, ...over });
}

async function draftOf(size: number): Promise<{ readonly hex: string; readonly path: string; readonly data: Buffer }> {
  const data = randomBytes(size);
  const hex = createHash("sha256").update(data).digest("hex");
  const path = join(dir.path, hex);
  await writeFile(path, data);
  return { hex, path, data };
}

for (const [what, size, requests] of [
  ["a small one", 1_000, 1],
  ["one of exactly a part", 8 * MIB, 1],
  ["a large one, in parts", 20 * MIB + 1, 5],
] as const) {
  test(`an archive comes back as it was: ${what}`, T, async () => {
    const { hex, path, data } = await draftOf(size);
    await store().put(hex, path, never);
    assert.equal(server.asked.length, requests);
    assert.ok((await server.keys()).includes(`ci/${hex}.tar.zst`));
    assert.ok((await buffer(await store().open(hex))).equals(data));
    assert.equal(server.halfUploads, 0);
  });
}

for (const [what, wrong] of [
  ["a part is refused", (asked: string) => asked.includes("partNumber=2")],
  ["its end is refused", (asked: string) => asked.startsWith("POST") && asked.includes("uploadId=")],
] as const) {
  test(`of a large one nothing is to be seen and nothing is left when ${what}`, T, async () => {
    const { hex, path } = await draftOf(20 * MIB);
    server.fault = (asked) => (wrong(asked) ? { code: "AccessDenied", status: 403 } : null);
    await assert.rejects(store().put(hex, path, never), { code: "TOR_CONFIG_INVALID" });
    assert.ok(!(await server.keys()).includes(`ci/${hex}.tar.zst`));
    assert.equal(server.halfUploads, 0);
  });
}

test("an upload that is given up ends at once, with its reason, and leaves nothing", T, async () => {
  const { hex, path } = await draftOf(20 * MIB);
  const stop = new AbortController();
  server.fault = (asked) => {
    if (asked.includes("partNumber=2")) stop.abort(new Error("the attempt is another's"));
    return null;
  };
  await assert.rejects(store().put(hex, path, stop.signal), /the attempt is another's/);
  assert.equal(server.halfUploads, 0);
  assert.ok(!(await server.keys()).includes(`ci/${hex}.tar.zst`));
});

test("a server that stumbles is asked again", T, async () => {
  const { hex, path, data } = await draftOf(1_000);
  let left = 2;
  server.fault = () => (left-- > 0 ? { code: "SlowDown", status: 503 } : null);
  await store().put(hex, path, never);
  assert.ok((await server.bytes(`ci/${hex}.tar.zst`)).equals(data));
});

const missing = { code: "TOR_ARTIFACT_MISSING", message: `the artifact aaaaaaaaaaaa is not at s3://${BUCKET}/ci/` };

test("what is not there is missing, and the sentence says where", T, async () => {
  await assert.rejects(store().open("a".repeat(64)), (error: Error) => {
    assert.equal(error.message, `${missing.message} (${server.endpoint})`);
    return "code" in error && error.code === missing.code;
  });
});

test("a body that breaks off is no damaged artifact but a store that cannot be reached", T, async () => {
  const { hex, path } = await draftOf(1_000);
  await store().put(hex, path, never);
  server.fault = (asked) => (asked.startsWith("GET") ? "break half way" : null);
  const reading = await store().open(hex);
  await assert.rejects(buffer(reading), { code: "TOR_ARTIFACTS_UNREACHABLE" });
});

test("a bucket that can be read and written passes the check", T, async () => {
  await store().check();
  assert.ok((await server.keys()).includes("ci/.writable"));
});

test("of uploads that nobody ended, those go that are old enough and below our prefix", T, async (t) => {
  if (!needs(t, { ec2: true })) return;
  await using moto = await Ec2Server.start();
  const place = { endpoint: moto.endpoint, region: EC2_REGION, credentials: EC2_CREDENTIALS };
  using client = disposable(new S3Client({ ...place, forcePathStyle: true }));
  await client.s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  for (const Key of ["ci/x.tar.zst", "else/x.tar.zst"])
    await client.s3.send(new CreateMultipartUploadCommand({ Bucket: BUCKET, Key }));
  // The server has all of them begin in November 2010.
  assert.equal(await store(place).sweep(Date.parse("2010-11-01")), 0);
  assert.equal(await store(place).sweep(Date.now()), 1);
  const { Uploads = [] } = await client.s3.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }));
  assert.deepEqual(
    Uploads.map(({ Key }) => Key),
    ["else/x.tar.zst"],
  );
});

function disposable(s3: S3Client): Disposable & { readonly s3: S3Client } {
  return { s3, [Symbol.dispose]: () => s3.destroy() };
}

const refuse = (code: string, status: number, method: string) => (asked: string) =>
  asked.startsWith(method) ? { code, status } : null;

for (const [what, over, fault, code, says] of [
  [
    "no such bucket",
    { bucket: "nowhere" },
    () => null,
    "TOR_CONFIG_INVALID",
    /there is no bucket nowhere at http.*: make it/,
  ],
  ["no leave to list", {}, refuse("AccessDenied", 403, "HEAD"), "TOR_CONFIG_INVALID", /need s3:ListBucket there/],
  [
    "no leave to write",
    {},
    refuse("AccessDenied", 403, "PUT"),
    "TOR_CONFIG_INVALID",
    /write an archive \(AccessDenied\): its credentials need s3:PutObject/,
  ],
  ["no leave to read", {}, refuse("AccessDenied", 403, "GET"), "TOR_CONFIG_INVALID", /need s3:GetObject there/],
  [
    "a key that nobody knows",
    {},
    refuse("InvalidAccessKeyId", 403, "PUT"),
    "TOR_CONFIG_INVALID",
    /\(InvalidAccessKeyId\).*or others have to be set/,
  ],
  [
    "another region",
    {},
    refuse("AuthorizationHeaderMalformed", 400, "PUT"),
    "TOR_CONFIG_INVALID",
    /is in another region: set TOROID_ARTIFACTS_REGION/,
  ],
  [
    "nobody there",
    { endpoint: "http://127.0.0.1:9" },
    () => null,
    "TOR_ARTIFACTS_UNREACHABLE",
    /cannot see what there is at s3:.*ECONNREFUSED/,
  ],
  ["a connection that breaks", {}, () => "break", "TOR_ARTIFACTS_UNREACHABLE", /cannot see what there is at/],
] as const satisfies readonly (readonly [
  string,
  Partial<BucketConfig>,
  (asked: string) => Fault | null,
  string,
  RegExp,
])[]) {
  test(`the check says in a sentence what is wrong: ${what}`, T, async () => {
    server.fault = fault;
    await assert.rejects(store(over).check(), (error: Error) => {
      assert.match(error.message, says);
      assert.ok(!error.message.includes(BUCKET_CREDENTIALS.secretAccessKey));
      return "code" in error && error.code === code;
    });
  });
}

test("another prefix is another place", T, async () => {
  const { hex, path } = await draftOf(10);
  await store({ prefix: "" }).put(hex, path, never);
  assert.ok((await server.keys()).includes(`${hex}.tar.zst`));
  await assert.rejects(store().open(hex), { code: "TOR_ARTIFACT_MISSING" });
  await server.client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `ci/${hex}.tar.zst`, Body: "x" }));
  assert.equal((await buffer(await store().open(hex))).toString(), "x");
});
