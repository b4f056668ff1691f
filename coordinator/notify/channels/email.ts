/** E-mail, as plain text. What is foreign in headers is one printable line, and addresses are never put together as text. */
import { createTransport, type SendMailOptions } from "nodemailer";
import type { Delivery } from "../../../protocol/delivery.ts";
import type { Notice } from "../../../protocol/notice.ts";
import { laneOf } from "../audience.ts";
import type { SmtpSettings, Target } from "../settings.ts";
import type { Answer } from "../transitions.ts";
import { cut, facts, headline, line, pageOf } from "../words.ts";
import type { Send } from "./channel.ts";
import { codeOf } from "./http.ts";

const CONNECT_MS = 5_000;
const SUBJECT_CHARACTERS = 150;
const SAID_CHARACTERS = 160;

/** It is this mail that is refused, and not who sends it: passwords and certificates can be mended. */
const OF_MAIL: ReadonlySet<string> = new Set(["EENVELOPE", "EMESSAGE"]);
/** It wants a password, or another one. */
const AUTH: ReadonlySet<number> = new Set([530, 534, 535, 538]);

type EmailTarget = Extract<Target, { channel: "email" }>;

export function emailChannel(target: EmailTarget, smtp: SmtpSettings, publicUrl: string | null): Send {
  const transport = createTransport({
    host: smtp.host,
    port: smtp.port,
    secure: smtp.tls,
    // Never in the clear unless the operator says so, whatever is between us and the server.
    requireTLS: !smtp.tls && !smtp.plain,
    ignoreTLS: smtp.plain,
    ...(smtp.auth === null ? {} : { auth: { user: smtp.auth.user, pass: smtp.auth.password } }),
    tls: smtp.ca === null ? {} : { ca: smtp.ca },
    connectionTimeout: CONNECT_MS,
    greetingTimeout: CONNECT_MS,
    socketTimeout: CONNECT_MS,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  return async (delivery, _lane, signal) => {
    const late = Promise.withResolvers<never>();
    const onAbort = (): void => late.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      const sent = await Promise.race([transport.sendMail(mailOf(delivery, target, smtp, publicUrl)), late.promise]);
      const refused = sent.rejected.map(addressText);
      const not = refused.length === 0 ? "" : `; not for ${refused.join(", ")}`;
      return { kind: "delivered", status: 250, message: `${said(sent.response)}${not}` };
    } catch (error) {
      return failure(error);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  };
}

/** The mail for one delivery: the same Message-ID each time, and in one thread with the others of its branch. */
export function mailOf(
  delivery: Delivery,
  target: Pick<EmailTarget, "to" | "authors">,
  { from }: Pick<SmtpSettings, "from">,
  publicUrl: string | null,
): SendMailOptions & { readonly to: readonly { name: string; address: string }[] } {
  const { id, notice } = delivery;
  const domain = /@([A-Za-z0-9.-]+)/.exec(from)?.[1] ?? "toroid.invalid";
  const thread = `<thread.${laneOf(id)}@${domain}>`;
  const page = pageOf(notice, publicUrl);
  const lines = [headline(notice), "", ...facts(notice).map(([label, text]) => `${label}: ${text}`)];
  return {
    from,
    to: recipientsOf(notice, target).map((address) => ({ name: "", address })),
    subject: cut(line(headline(notice)), SUBJECT_CHARACTERS),
    text: [...lines, ...(page === null ? [] : ["", page]), ""].join("\n"),
    messageId: `<${id}@${domain}>`,
    inReplyTo: thread,
    references: [thread],
    date: new Date(notice.atMs),
    headers: { "Auto-Submitted": "auto-generated" },
  };
}

/** The list, and the author of the commit where the operator lets authors of that domain be written to. */
export function recipientsOf(
  { kind, author }: Notice,
  { to, authors }: Pick<EmailTarget, "to" | "authors">,
): readonly string[] {
  const [, address = "", domain = ""] = /<([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@([A-Za-z0-9.-]+))>$/.exec(author) ?? [];
  const isAboutCommit = kind === "build" || kind === "deployment";
  const isLet = isAboutCommit && authors.some((one) => one.toLowerCase() === domain.toLowerCase());
  return isLet && !to.includes(address) ? [...to, address] : to;
}

function failure(error: unknown): Answer {
  const status = error instanceof Error && "responseCode" in error ? Number(error.responseCode) : null;
  const response = error instanceof Error && "response" in error ? said(String(error.response)) : "";
  const code = codeOf(error);
  const message = response === "" ? `no answer (${code})` : response;
  const isOfMail = OF_MAIL.has(code) && !(status !== null && AUTH.has(status));
  if (isOfMail && status !== null && status >= 500) return { kind: "giveUp", status, message };
  return { kind: "retry", status, message, isDown: !isOfMail };
}

function said(response: string): string {
  return cut(line(response), SAID_CHARACTERS);
}

function addressText(one: string | { readonly address: string }): string {
  return line(typeof one === "string" ? one : one.address);
}
