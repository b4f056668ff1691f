/** E-mail through a real SMTP server, with the certificate of a moment. */
import assert from "node:assert/strict";
import { chmod, readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { execa } from "execa";
import { SMTPServer } from "smtp-server";
import { emailChannel, mailOf, recipientsOf } from "../../../coordinator/notify/channels/email.ts";
import type { SmtpSettings, Target } from "../../../coordinator/notify/settings.ts";
import { type TempDir, tempDir } from "../../support/temp.ts";
import { until } from "../../support/until.ts";
import { delivery, notice } from "../../unit/coordinator/notify/samples.ts";
import { REPOSITORY } from "../../unit/coordinator/samples.ts";
import { build, FAILED, startNotifying } from "./notify-rig.ts";

const LIMIT = { timeout: 60_000 };
const PASSWORD = "hunter2-and-more";
const FROM = "Toroid <ci@example.com>";

interface Mail {
  readonly to: readonly string[];
  readonly text: string;
  readonly secure: boolean;
  readonly user: unknown;
}

interface Post extends AsyncDisposable {
  readonly port: number;
  readonly mails: Mail[];
  readonly dir: TempDir;
}

async function startPost(o: {
  readonly tls: boolean;
  readonly refuse?: string;
  readonly noTls?: boolean;
}): Promise<Post> {
  const dir = await tempDir();
  const [key, cert] = [join(dir.path, "key.pem"), join(dir.path, "cert.pem")];
  const subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"];
  await execa("openssl", [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-keyout",
    key,
    "-out",
    cert,
    ...subject,
  ]);
  await chmod(cert, 0o600);
  const mails: Mail[] = [];
  const server = new SMTPServer({
    secure: o.tls,
    key: await readFile(key),
    cert: await readFile(cert),
    authOptional: o.noTls === true,
    disabledCommands: o.noTls === true ? ["STARTTLS"] : [],
    onAuth: ({ username, password }, _session, done) =>
      done(password === PASSWORD ? null : new Error("who are you"), { user: username }),
    onRcptTo: ({ address }, _session, done) =>
      done(address === o.refuse ? Object.assign(new Error("nobody of that name"), { responseCode: 550 }) : null),
    onData: (stream, session, done) => {
      const to = session.envelope.rcptTo.map(({ address }) => address);
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", () => {
        mails.push({ to, text: Buffer.concat(chunks).toString(), secure: session.secure, user: session.user });
        done();
      });
    },
  });
  server.on("error", () => undefined); // clients that end in the middle
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.server.address() as AddressInfo;
  return {
    port,
    mails,
    dir,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(() => resolve()));
      await dir[Symbol.asyncDispose]();
    },
  };
}

const headersOf = (text: string): readonly string[] =>
  (text.split("\r\n\r\n")[0] ?? "").replaceAll(/\r\n[ \t]+/g, " ").split("\r\n");
const header = (text: string, name: string): string =>
  headersOf(text)
    .find((one) => one.toLowerCase().startsWith(`${name.toLowerCase()}: `))
    ?.slice(name.length + 2) ?? "";

test(
  "a list and the author of the commit are written to, in one thread for a branch, over TLS with a password",
  LIMIT,
  async () => {
    for (const tls of [true, false]) {
      await using post = await startPost({ tls });
      await using rig = await startNotifying(() => ({
        targets: { mail: { email: ["ops@example.com"], authors: ["example.com"], for: ["acme/*"] } },
        smtp: {
          url: `${tls ? "smtps" : "smtp"}://127.0.0.1:${post.port}`,
          from: FROM,
          user: "ci",
          password: PASSWORD,
          ca: join(post.dir.path, "cert.pem"),
        },
      }));
      await build(rig, 1, FAILED);
      await build(rig, 2);
      await until("two mails", () => post.mails.length === 2);
      const list = await rig.settled(2);
      assert.ok(
        list.every(({ status }) => status === "delivered"),
        JSON.stringify(list),
      );
      assert.ok(!JSON.stringify(list).includes(PASSWORD));
      const [first, second] = post.mails;
      assert.ok(first !== undefined && second !== undefined);
      assert.deepEqual([first.secure, first.user, first.to], [true, "ci", ["ops@example.com", "ada@example.com"]]);
      assert.equal(header(first.text, "Subject"), `${REPOSITORY}#1 failed on main`);
      assert.equal(header(second.text, "Subject"), `${REPOSITORY}#2 passed again on main`);
      assert.match(first.text, /\r\n\r\nacme\/api#1 failed on main\r\n\r\nwhy: build failed: exited with 1\r\n/);
      assert.match(first.text, /https:\/\/ci\.example\/builds\/acme\/api\/1/);
      assert.equal(header(first.text, "Content-Type"), "text/plain; charset=utf-8");
      assert.equal(header(first.text, "Auto-Submitted"), "auto-generated");
      assert.notEqual(header(first.text, "Message-ID"), header(second.text, "Message-ID"));
      assert.equal(header(first.text, "References"), header(second.text, "References"));
      assert.match(header(first.text, "References"), /^<thread\.mail\.[0-9a-f]+@example\.com>$/);
    }
  },
);

test("nothing foreign makes a header, a recipient or a second mail", LIMIT, async () => {
  await using post = await startPost({ tls: true });
  const evil = "x\r\nBcc: victim@example.com\r\n\r\n.\r\nMAIL FROM:<a@b>";
  const hostile = notice({
    message: evil,
    title: evil,
    by: evil,
    ref: `refs/heads/${evil}`,
    repository: `acme/${evil}`,
    author: `${evil} <ada@example.com>\r\nBcc: victim@example.com>`,
  });
  const to = { to: ["ops@example.com"], authors: ["example.com"] };
  const answer = await channel(post, to)(delivery({ notice: hostile }), [], AbortSignal.timeout(10_000));
  assert.equal(answer.kind, "delivered", answer.message);
  assert.equal(post.mails.length, 1);
  const [mail] = post.mails;
  assert.deepEqual(mail?.to, ["ops@example.com"]);
  assert.deepEqual(
    headersOf(mail.text).filter((one) => /^bcc/i.test(one)),
    [],
  );
  const names = (text: string) => new Set(headersOf(text).map((one) => one.split(":")[0]));
  assert.deepEqual(names(mail.text), names(await textOf(post, to)), "it has the headers that any has");
});

test("authors are only written to where the operator lets them be, and about commits alone", () => {
  const to = { to: ["ops@example.com"], authors: ["example.com"] };
  assert.deepEqual(recipientsOf(notice(), to), ["ops@example.com", "ada@example.com"]);
  assert.deepEqual(recipientsOf(notice({ author: "Ops <ops@example.com>" }), to), ["ops@example.com"]);
  for (const author of [
    "Eve <eve@evil.example>",
    "Eve <eve@sub.example.com>",
    "ada@example.com",
    "<a,b@example.com>",
    "<ada@example.com> <eve@evil.example>",
  ])
    assert.deepEqual(recipientsOf(notice({ author }), to), ["ops@example.com"], author);
  assert.deepEqual(recipientsOf(notice({ kind: "paused" }), to), ["ops@example.com"]);
  assert.deepEqual(recipientsOf(notice(), { ...to, authors: [] }), ["ops@example.com"]);
  assert.equal(mailOf(delivery(), to, { from: FROM }, null).messageId, "<team.0123456789abcdef0123.0@example.com>");
});

test("who refuses for good is given up, and all others are tried again", LIMIT, async () => {
  await using post = await startPost({ tls: true, refuse: "nobody@example.com" });
  const send = (to: readonly string[], changes: Partial<SmtpSettings> = {}) =>
    channel(post, { to, authors: [] }, changes)(delivery(), [], AbortSignal.timeout(10_000));
  const refused = await send(["nobody@example.com"]);
  assert.deepEqual([refused.kind, refused.status], ["giveUp", 550]);
  const partly = await send(["ops@example.com", "nobody@example.com"]);
  assert.deepEqual([partly.kind, partly.message.endsWith("not for nobody@example.com")], ["delivered", true]);
  const password = await send(["ops@example.com"], { auth: { user: "ci", password: "wrong" } });
  assert.deepEqual([password.kind, password.status], ["retry", 535]);
  const untrusted = await send(["ops@example.com"], { ca: null });
  assert.equal(untrusted.kind, "retry");
  assert.equal(post.mails.length, 1);
});

test(
  "nothing is sent in the clear, to a server that knows no TLS either, unless the operator says so",
  LIMIT,
  async () => {
    await using post = await startPost({ tls: false, noTls: true });
    const send = (plain: boolean) =>
      channel(post, { to: ["ops@example.com"], authors: [] }, { tls: false, plain, auth: null })(
        delivery(),
        [],
        AbortSignal.timeout(10_000),
      );
    assert.equal((await send(false)).kind, "retry");
    assert.equal(post.mails.length, 0);
    assert.equal((await send(true)).kind, "delivered");
    assert.deepEqual(
      post.mails.map(({ secure }) => secure),
      [false],
    );
  },
);

function channel(
  post: Post,
  to: { readonly to: readonly string[]; readonly authors: readonly string[] },
  changes: Partial<SmtpSettings> = {},
) {
  const target: Target = { name: "mail", channel: "email", for: [], allow: [], on: "change", ...to };
  return async (...args: Parameters<ReturnType<typeof emailChannel>>) => {
    const ca = await readFile(join(post.dir.path, "cert.pem"), "utf8");
    const auth = { user: "ci", password: PASSWORD };
    const smtp = { host: "127.0.0.1", port: post.port, tls: true, plain: false, auth, from: FROM, ca, ...changes };
    return emailChannel(target, smtp, null)(...args);
  };
}

async function textOf(
  post: Post,
  to: { readonly to: readonly string[]; readonly authors: readonly string[] },
): Promise<string> {
  await channel(post, to)(delivery(), [], AbortSignal.timeout(10_000));
  return post.mails.at(-1)?.text ?? "";
}
