/** What each example of the documents stands on, and what it has to do. */
import { BUCKET, BUCKET_CREDENTIALS, BUCKET_REGION } from "../../support/bucket.ts";
import { until } from "../../support/until.ts";
import { weakHere } from "../../support/weak.ts";
import { type ManualSystem, PATIENCE, REPOSITORY, ROOT, type Words } from "./system.ts";

export interface Case {
  /** How its text begins. */
  readonly begins: string;
  /** What has to be there first; answers what stands in place of the documents' own words. */
  readonly given?: () => Promise<Words>;
  readonly env?: () => Words;
  readonly cwd?: () => string;
  readonly out?: RegExp;
  readonly err?: RegExp;
  /** It would go on for ever: what is done meanwhile, and when it was long enough. */
  readonly until?: (said: () => string) => Promise<unknown>;
  readonly afterwards?: (said: string) => Promise<unknown>;
}

/** By document, in no order: which comes when is the documents' business. */
export function casesOf(s: () => ManualSystem): Readonly<Record<string, readonly Case[]>> {
  let approving: Promise<number> | undefined;
  let token = "";
  const withToken = (): Words => ({ TOROID_TOKEN: token, TOROID_URL: s().guarded });
  return {
    "MANUAL.md": [
      { begins: 'alias toroid="$PWD', cwd: () => ROOT },
      {
        begins: "toroid trigger acme/api main --remote https://github.com",
        given: async () => ({ "https://github.com/acme/api.git": s().repo.url }),
        out: /^acme\/api#1\n$/,
      },
      { begins: "toroid logs acme/api#1 --follow", out: /built\n/ },
      {
        begins: "aws sqs send-message",
        given: async () => ({
          "http://127.0.0.1:9324/000000000000/toroid": s().rig.queue.queueUrl,
          "http://127.0.0.1:9324": s().rig.queue.endpoint,
        }),
        out: /"MessageId"/,
        afterwards: async () => void (await until("its build", () => s().rig.build(2, REPOSITORY), PATIENCE)),
      },
      {
        begins: "TOROID_ARTIFACTS=s3://ci TOROID_ARTIFACTS_ENDPOINT",
        given: async () => ({
          "s3://ci": `s3://${BUCKET}`,
          "http://minio.internal:9000": s().bucket.endpoint,
          "us-east-1": BUCKET_REGION,
          "ACCESS_KEY_ID=…": `ACCESS_KEY_ID=${BUCKET_CREDENTIALS.accessKeyId}`,
          "SECRET_ACCESS_KEY=…": `SECRET_ACCESS_KEY=${BUCKET_CREDENTIALS.secretAccessKey}`,
        }),
        env: () => ({ ...s().executorEnvironment("bucket"), TOROID_POOL: "bucket" }),
        until: () => s().executorWith("bucket", []),
      },
      {
        begins: "export TOROID_TOKEN=$(toroid token create ops",
        given: async () => ({ "--direct)": '--direct) && echo "$TOROID_TOKEN"' }),
        out: /^trd_\S+\n$/,
        afterwards: async (said) => {
          token = said.trim();
        },
      },
      { begins: "toroid token create ada --user ada", env: withToken, out: /^trd_\S+\n$/, err: /operate, acts as ada/ },
      { begins: "toroid token create deploy-bot", env: withToken, out: /^trd_\S+\n$/ },
      { begins: "toroid token ls", env: withToken, out: /deploy-bot[^]*ops|ops[^]*deploy-bot/ },
      {
        begins: 'curl -s -H "Authorization: Bearer $TOROID_TOKEN"',
        given: async () => ({ "http://127.0.0.1:7433": s().guarded }),
        env: withToken,
        out: /^\{"name":"ops"/,
      },
      {
        begins: "toroid approve acme/api prod --show",
        given: () => s().waiting(),
        out: /waits for approval for prod: by anybody[^]*commits /,
      },
      {
        begins: "toroid approve acme/api#42 --as ada",
        given: () => s().latest(),
        out: /approved for prod\nacme\/api prod: /,
      },
      { begins: "toroid approve acme/api#42 prod --reject", given: () => s().waiting(), out: /rejected for prod\n/ },
      { begins: "toroid promote acme/api#42 prod", given: () => s().live(), out: /^acme\/api#\d+ prod\n$/ },
      {
        begins: "toroid rollback acme/api prod",
        given: () => s().liveTwice(),
        out: /^acme\/api#\d+ prod\n$/,
        err: /what is newer waits until: toroid release acme\/api prod/,
      },
      { begins: "toroid release acme/api prod", out: /^acme\/api prod: open/ },
      {
        begins: "toroid pause acme/api prod",
        out: /^acme\/api prod: paused by bob until \S+Z: freeze for the holidays/,
      },
      { begins: "toroid resume acme/api prod", out: /^acme\/api prod: open/ },
      {
        begins: "TOROID_POOL=default ",
        env: () => s().executorEnvironment("most"),
        until: () => s().executorWith("default", ["arch=amd64"]),
      },
      {
        begins: "TOROID_POOL=big ",
        env: () => s().executorEnvironment("big"),
        until: () => s().executorWith("big", ["big", "docker"]),
      },
      {
        begins: "TOROID_POOL=arm ",
        env: () => s().executorEnvironment("arm"),
        until: () => s().executorWith("arm", ["arch=arm64"]),
      },
      { begins: "git push", given: () => s().upstream(), cwd: () => s().repo.path },
      {
        begins: "toroid wait acme/api --commit",
        given: async () => {
          await s().rig.push(s().repo, { fullName: REPOSITORY });
          approving = s().approve();
          return {};
        },
        cwd: () => s().repo.path,
        afterwards: async () => approving,
        out: /^acme\/api#\d+ passed\nit passed\n$/,
      },
      { begins: "U=http://127.0.0.1:7433" },
      { begins: 'curl -s "$U/api/v1/builds?', out: /^\{"builds":\[\{"repository":"acme\/api"/ },
      {
        begins: "curl -s -H 'content-type: application/json' -d '{\"repository\"",
        out: /^\{"repository":"acme\/api","number":\d+\}$/,
      },
      {
        begins: 'curl -s -H \'content-type: application/json\' -d \'{"reason":"freeze"',
        out: /"paused":\{.*"why":"freeze"/,
      },
      { begins: "curl -s -H 'content-type: application/json' -d '{}'", out: /"paused":null/ },
      {
        begins: "curl -s -H 'content-type: application/json' -d '{\"params\"",
        given: () => s().live(),
        out: /^\{"repository":"acme\/api","number":\d+\}$/,
      },
      {
        begins: "curl -s -H 'content-type: application/json' -H 'toroid-user: ada'",
        given: () => s().waiting(),
        out: /"repository":"acme\/api","environment":"prod"/,
      },
      { begins: 'curl -sN "$U/api/v1/builds/acme/api/42/stages', given: () => s().latest(), out: /^built\n$/ },
      {
        begins: 'curl -sN "$U/api/v1/events"',
        until: (said) => s().heard(said, /event: environment\ndata: \{.*"acme\/api"/),
      },
      { begins: 'curl -s "$U/api/v1/audit', out: /^\{"entries":\[\{.*"target":"acme\/api/ },
      { begins: "nats sub 'toroid.audit.>'", until: (said) => s().heard(said, /toroid\.audit\.done[^]*"acme\/api/) },
      {
        begins: "nats sub 'toroid.events.>'",
        until: (said) => s().heard(said, /toroid\.events\.acme__api\.-\.prod\.environment\.paused/),
      },
      {
        begins: "nats sub 'toroid.events.acme__api",
        until: (said) => s().heard(said, /toroid\.events\.acme__api\.-\.prod\.environment\.resumed/),
      },
    ],
    "README.md": [
      { begins: 'alias toroid="$PWD', cwd: () => ROOT },
      { begins: "toroid init", given: () => s().beginCheckout(), cwd: () => s().checkout, err: /wrote \.toroid\.yml/ },
      { begins: "toroid lint", cwd: () => s().checkout, err: /\.toroid\.yml is fine/ },
      {
        begins: 'sudo "$TOROID_CHECKOUT/node_modules/.bin/node"',
        cwd: () => s().checkout,
        env: () => ({ TOROID_CHECKOUT: ROOT, TOROID_ALLOW_WEAK: weakHere().join(","), TMPDIR: s().place }),
        out: /tested\n/,
        err: /--- build passed/,
      },
      {
        begins: "toroid trigger me/project main",
        given: async () => ({ "file:///path/to/project": s().repo.url }),
        out: /^me\/project#1\n$/,
      },
      {
        begins: "#!/bin/sh\nT=/path/to/toroid",
        given: async () => ({
          "/path/to/toroid": ROOT,
          "https://git.example.com/me/project.git": s().repo.url,
          "exec ": `cd '${s().repo.path}' && printf '%s %s refs/heads/main\\n' ${"0".repeat(40)} ${await s().repo.head()} | exec `,
        }),
        err: /told the queue of refs\/heads\/main/,
        afterwards: async () =>
          void (await until("the build of the push", () => s().rig.build(2, "me/project"), PATIENCE)),
      },
    ],
    "docs/runbook.md": [
      { begins: "toroid doctor", out: /^ok +node[^]*ok +coordinator/ },
      { begins: "toroid status", out: /acme\/api +prod [^]*BUILD +STATE/ },
      { begins: "toroid executors", out: /^EXECUTOR +HOST[^]*default/ },
      { begins: "toroid token ls --direct", out: /deploy-bot[^]*ops|ops[^]*deploy-bot/ },
      { begins: "toroid token rm", given: () => s().someToken() },
      { begins: "toroid token create ops --scope admin --direct", out: /^trd_\S+\n$/ },
      { begins: "nats stream report", out: /TOROID_RUN[^]*TOROID_LOG|TOROID_LOG[^]*TOROID_RUN/ },
      { begins: "nats consumer report TOROID_CMD", out: /TOROID_CMD/ },
      { begins: "nats backup account --force DIRECTORY", given: async () => ({ DIRECTORY: s().backup }) },
      {
        begins: "nats backup restore account DIRECTORY",
        given: async () => ({ DIRECTORY: s().backup }),
        env: () => ({ NATS_URL: s().other.url }),
      },
    ],
  };
}

/** What is shown and not run here, by how it begins; counted, so that nothing hides among them. */
export const ELSEWHERE: readonly { readonly begins: RegExp; readonly count: number; readonly why: string }[] = [
  {
    begins: /^TOROID_(AUTH|GITHUB_CLIENT_ID|GITHUB_CLIENT_SECRET|PUBLIC_URL|ROLES)=/,
    count: 5,
    why: "settings for signing in at GitHub, which cannot be reached: test/integration/coordinator/sign-in.test.ts",
  },
  {
    begins: /^docker compose |^alias toroid="docker compose/,
    count: 9,
    why: "needs a docker engine: test/compose runs the stack",
  },
  {
    begins: /^TOROID_ARTIFACTS=s3:\/\/acme-ci/,
    count: 1,
    why: "AWS itself cannot be reached: the line after it is run",
  },
  { begins: /^aws s3api /, count: 2, why: "AWS itself cannot be reached" },
  {
    begins: /^cd \/etc\/toroid|^install -D -o toroid|^chown -R toroid/,
    count: 4,
    why: "writes to /etc for a user named toroid; test/integration/executor/secrets.test.ts reads such files",
  },
  { begins: /^sudo npm (start|test)/, count: 2, why: "test/e2e/start.test.ts, and all tests, are what these run" },
];
