import assert from "node:assert/strict";
import { test } from "node:test";
import { configFrom } from "../../../coordinator/config.ts";
import { ToroidError } from "../../../protocol/errors.ts";
import { DEFAULT_STORE_BYTES } from "../../../protocol/streams.ts";

const SIGN_IN = {
  proxies: [],
  requestsPerMinute: 6_000,
  requestMs: 30_000,
  sessionMs: 12 * 3_600_000,
  roles: [],
  github: null,
};

test("nothing has to be set", () => {
  assert.deepEqual(configFrom({}), {
    natsUrl: "nats://127.0.0.1:4222",
    natsMonitorUrls: [],
    allowLazySync: false,
    storeBytes: DEFAULT_STORE_BYTES,
    replicas: 1,
    keepBuildsMs: 90 * 86_400_000,
    keepLogsMs: 30 * 86_400_000,
    pool: "default",
    queue: null,
    http: { host: "127.0.0.1", port: 7433, auth: "none", publicUrl: null, ...SIGN_IN },
    notify: null,
    amis: {
      system: "toroid",
      endpoint: null,
      regions: [],
      everyMs: 300_000,
      sweepAfterMs: 3_600_000,
      keep: { newest: null, ms: null },
    },
  });
});

test("a variable that is set to nothing is not set", () => {
  assert.deepEqual(configFrom({ TOROID_NATS_URL: "", TOROID_HTTP_PORT: "", TOROID_QUEUE_URL: "" }), configFrom({}));
});

test("what is set is used", () => {
  const config = configFrom({
    TOROID_NATS_URL: "nats://nats.internal:4222",
    TOROID_STORE_BYTES: "1000000",
    TOROID_REPLICAS: "3",
    TOROID_POOL: "arm",
    TOROID_QUEUE_URL: "https://sqs.eu-west-1.amazonaws.com/1/pushes",
    AWS_REGION: "eu-west-1",
    TOROID_HTTP_HOST: "::1",
    TOROID_HTTP_PORT: "0",
  });
  assert.deepEqual(config.queue, {
    url: "https://sqs.eu-west-1.amazonaws.com/1/pushes",
    deadLetterUrl: null,
    endpoint: null,
    region: "eu-west-1",
    credentials: null,
  });
  assert.deepEqual(config.http, { host: "::1", port: 0, auth: "none", publicUrl: null, ...SIGN_IN });
  assert.deepEqual([config.storeBytes, config.replicas, config.pool], [1_000_000, 3, "arm"]);
});

test("monitoring ports are one or several", () => {
  const { natsMonitorUrls } = configFrom({ TOROID_NATS_MONITOR_URL: "http://a:8222, http://b:8222/" });
  assert.deepEqual(natsMonitorUrls, ["http://a:8222", "http://b:8222/"]);
});

test("any address is listened on where the network is said to be trusted", () => {
  const config = configFrom({ TOROID_HTTP_HOST: "0.0.0.0", TOROID_HTTP_TRUST_NETWORK: "1" });
  assert.deepEqual(config.http, { host: "0.0.0.0", port: 7433, auth: "none", publicUrl: null, ...SIGN_IN });
  assert.equal(configFrom({ TOROID_HTTP_TRUST_NETWORK: "1" }).http.host, "127.0.0.1");
});

test("with sign-in any address is listened on, by a name that people know it by and nobody reads along", () => {
  const open = { TOROID_HTTP_HOST: "0.0.0.0", TOROID_AUTH: "token" };
  const { http } = configFrom({ ...open, TOROID_PUBLIC_URL: "https://ci.example.com/" });
  assert.deepEqual([http.auth, http.publicUrl], ["token", "https://ci.example.com"]);
  assert.throws(() => configFrom(open), /^ToroidError: TOROID_PUBLIC_URL must say how people reach a coordinator/);
  const plain = { ...open, TOROID_PUBLIC_URL: "http://ci.lan:7433" };
  assert.throws(() => configFrom(plain), /TOROID_PUBLIC_URL must be https/);
  assert.equal(configFrom({ ...plain, TOROID_HTTP_TRUST_NETWORK: "1" }).http.publicUrl, "http://ci.lan:7433");
  assert.equal(configFrom({ TOROID_AUTH: "token" }).http.publicUrl, null);
  // Where nobody signs in, it is for links alone.
  assert.equal(configFrom({ TOROID_PUBLIC_URL: "http://ci.lan" }).http.publicUrl, "http://ci.lan");
});

test("roles are read as they are written, and GitHub Enterprise has its API where it has it", () => {
  const github = { TOROID_AUTH: "github", TOROID_GITHUB_CLIENT_ID: "id", TOROID_GITHUB_CLIENT_SECRET: "secret" };
  const { http } = configFrom({ ...github, TOROID_ROLES: "@Ada admin\nacme/Dev  operate acme/api acme/x-*;" });
  assert.deepEqual(http.roles, [
    { who: "@ada", scope: "admin", repositories: null },
    { who: "acme/dev", scope: "operate", repositories: ["acme/api", "acme/x-*"] },
  ]);
  assert.equal(http.github?.apiUrl, "https://api.github.com");
  const own = configFrom({ ...github, TOROID_ROLES: "a read", TOROID_GITHUB_URL: "https://git.acme.example/" });
  assert.equal(own.http.github?.apiUrl, "https://git.acme.example/api/v3");
});

test("builds are kept for some days, or for ever", () => {
  const { keepBuildsMs, keepLogsMs } = configFrom({ TOROID_KEEP_BUILDS_DAYS: "0", TOROID_KEEP_LOGS_DAYS: "7" });
  assert.deepEqual([keepBuildsMs, keepLogsMs], [null, 7 * 86_400_000]);
});

const WRONG: readonly (readonly [string, string, RegExp])[] = [
  ["TOROID_HTTP_PORT", "70000", /^TOROID_HTTP_PORT must be a whole number from 0 to 65535$/],
  ["TOROID_HTTP_PORT", "-1", /^TOROID_HTTP_PORT must be a whole number from 0 to 65535$/],
  ["TOROID_HTTP_PORT", "http", /^TOROID_HTTP_PORT must be a whole number/],
  [
    "TOROID_HTTP_HOST",
    "0.0.0.0",
    /^TOROID_HTTP_HOST must be a loopback address .* while nobody has to sign in: set TOROID_AUTH/,
  ],
  ["TOROID_NATS_MONITOR_URL", "http://a:8222,b", /^TOROID_NATS_MONITOR_URL must be an http or https URL/],
  ["TOROID_KEEP_LOGS_DAYS", "0", /^TOROID_KEEP_LOGS_DAYS must be 1 day at least$/],
  ["TOROID_KEEP_BUILDS_DAYS", "1.5", /^TOROID_KEEP_BUILDS_DAYS must be a whole number from 0 to 36500$/],
  ["TOROID_ALLOW_LAZY_SYNC", "yes", /^TOROID_ALLOW_LAZY_SYNC must be 0 or 1$/],
  ["TOROID_HTTP_TRUST_NETWORK", "yes", /^TOROID_HTTP_TRUST_NETWORK must be 0 or 1$/],
  ["TOROID_AUTH", "yes", /^TOROID_AUTH must be none, token or github$/],
  ["TOROID_AUTH", "github", /^TOROID_ROLES must say who may do what .*; TOROID_GITHUB_CLIENT_ID and TOROID_GITHUB_CLI/],
  [
    "TOROID_ROLES",
    "acme owner",
    /^TOROID_ROLES has a mistake: the role of acme is "owner", not read, operate or admin$/,
  ],
  ["TOROID_ROLES", "ac me read", /^TOROID_ROLES has a mistake: the role of ac is "me"/],
  ["TOROID_ROLES", "a/b/c read", /^TOROID_ROLES has a mistake: "a\/b\/c" is no @user, organization or org\/team$/],
  ["TOROID_ROLES", "acme read api", /^TOROID_ROLES has a mistake: repository "api" of acme: expected owner\/name/],
  ["TOROID_ROLES", " ; ", /^TOROID_ROLES has a mistake: it names nobody/],
  ["TOROID_SESSION_HOURS", "0", /^TOROID_SESSION_HOURS must be 1 hour at least$/],
  ["TOROID_HTTP_PROXIES", "10.0.0.5,proxy", /^TOROID_HTTP_PROXIES must be addresses or networks with commas/],
  ["TOROID_HTTP_PROXIES", "10.0.0.0/33", /^TOROID_HTTP_PROXIES must be addresses or networks with commas/],
  ["TOROID_GITHUB_URL", "http://github.example", /^TOROID_GITHUB_URL and TOROID_GITHUB_API_URL must be https$/],
  ["TOROID_PUBLIC_URL", "ci.example.com", /^TOROID_PUBLIC_URL must be the http or https URL/],
  ["TOROID_PUBLIC_URL", "https://example.com/ci", /^TOROID_PUBLIC_URL must have no path/],
  ["TOROID_REPLICAS", "2", /^TOROID_REPLICAS must be 1, 3 or 5$/],
  ["TOROID_QUEUE_URL", "pushes", /^TOROID_QUEUE_URL must be the http or https URL that SQS returned$/],
  ["TOROID_QUEUE_URL", "file:///etc/passwd", /^TOROID_QUEUE_URL must be the http or https URL/],
  ["TOROID_POOL", "x".repeat(65), /^TOROID_POOL must have 64 characters at most$/],
  ["TOROID_STORE_BYTES", "8GiB", /^TOROID_STORE_BYTES must be a whole number/],
];

for (const [name, value, sentence] of WRONG) {
  test(`${name}=${value.slice(0, 30)} is refused with its name and what it must be`, () => {
    assert.throws(
      () => configFrom({ [name]: value }),
      (error) => error instanceof ToroidError && error.code === "TOR_CONFIG_INVALID" && sentence.test(error.message),
    );
  });
}

test("everything that is wrong is said at once", () => {
  assert.throws(
    () => configFrom({ TOROID_HTTP_PORT: "x", TOROID_REPLICAS: "x", TOROID_HTTP_HOST: "0.0.0.0" }),
    /TOROID_REPLICAS must be 1, 3 or 5; TOROID_HTTP_PORT must be a whole number .*; TOROID_HTTP_HOST must be a loopback/,
  );
});
