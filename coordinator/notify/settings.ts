/** Whom the operator lets Toroid notify, and how: the file that TOROID_NOTIFY names, checked. */
import { createPrivateKey } from "node:crypto";
import { z } from "zod";
import { ToroidError } from "../../protocol/errors.ts";
import { patternProblem } from "../../protocol/pipeline/glob.ts";
import { targetProblem } from "../../protocol/pipeline/notify.ts";
import { oneOrMore } from "../../protocol/pipeline/schema-parts.ts";
import { printable } from "../../protocol/pipeline/text-rules.ts";

/** A value that nobody else may see, with where it is kept. */
const secret = z.union([z.string().min(1), z.strictObject({ file: z.string().min(1) })], {
  error: 'expected the secret itself, or {"file": "/where/it/is"}',
});
type Said = z.output<typeof secret>;

const url = z
  .url({ protocol: /^https?$/, error: "expected an http or https URL" })
  .refine(
    (text) => URL.parse(text)?.username === "" && URL.parse(text)?.password === "",
    "a URL may not have a name and password in it",
  );
const pattern = z.string().superRefine((text, context) => {
  const message = patternProblem(text);
  if (message !== null) context.addIssue({ code: "custom", message });
});
const common = {
  /** Repositories that it is told of without their asking; none unless given. */
  for: z.array(pattern).default([]),
  /** Repositories whose files may name it; all unless given. */
  allow: z.array(pattern).default(["**"]),
  on: z.enum(["change", "always", "never"], { error: "expected change, always or never" }).default("change"),
};
const KINDS = {
  slack: z.strictObject({ slack: secret, ...common }),
  webhook: z.strictObject({ webhook: url, secret, ...common }),
  email: z.strictObject({
    email: oneOrMore(
      z.email({ error: "expected the address of a mailbox" }),
      "expected the address of a mailbox or a list of them",
    ),
    /** Domains whose authors are told as well of what became of their commit. */
    authors: z.array(z.hostname("expected a domain")).default([]),
    ...common,
  }),
};
type SaidTarget = { readonly [K in keyof typeof KINDS]: z.output<(typeof KINDS)[K]> }[keyof typeof KINDS];

/** Which kind it is meant to be is told by its key, so that what is wrong is said of that kind. */
const anyTarget = z
  .record(z.string(), z.unknown(), { error: "expected a mapping" })
  .transform((said, context): SaidTarget => {
    const kind = (["slack", "webhook", "email"] as const).find((one) => Object.hasOwn(said, one));
    if (kind === undefined) {
      context.addIssue({ code: "custom", message: "expected one of `slack`, `webhook` and `email`" });
      return z.NEVER;
    }
    const read = KINDS[kind].safeParse(said);
    if (read.success) return read.data;
    for (const issue of read.error.issues)
      context.addIssue({ code: "custom", path: issue.path, message: messageOf(issue) });
    return z.NEVER;
  });
const github = z
  .strictObject({
    /** Where repositories and people are. */
    url: url.default("https://github.com"),
    api: url.optional(),
    token: secret.optional(),
    app: z
      .strictObject({ id: z.int().positive(), key: secret, installation: z.int().positive().optional() })
      .optional(),
    for: z.array(pattern).default(["**"]),
  })
  .refine((it) => (it.token === undefined) !== (it.app === undefined), "expected either a `token` or an `app`");
const smtp = z.strictObject({
  url: z.url({ protocol: /^smtps?$/, error: "expected smtp://host:587 or smtps://host:465" }),
  user: z.string().optional(),
  password: secret.optional(),
  from: z
    .string()
    .refine((text) => text === printable(text) && text.includes("@"), "expected an address: Toroid <ci@example.com>"),
  /** Certificates that are trusted, in a file; without it those of the host. */
  ca: z.string().optional(),
  /** Send over a connection that nobody encrypts: to a server on the same host. */
  plain: z.boolean().default(false),
});

const file = z.strictObject({
  targets: z
    .record(
      z.string().superRefine((name, context) => {
        const message = name === "github" ? "this name is taken" : targetProblem(name);
        if (message !== null) context.addIssue({ code: "custom", message });
      }),
      anyTarget,
    )
    .default({}),
  github: github.optional(),
  smtp: smtp.optional(),
});

interface Common {
  readonly name: string;
  readonly for: readonly string[];
  readonly allow: readonly string[];
  readonly on: "change" | "always" | "never";
}

export type Target = Common &
  (
    | { readonly channel: "slack"; readonly url: string }
    | { readonly channel: "webhook"; readonly url: string; readonly secret: string }
    | { readonly channel: "email"; readonly to: readonly string[]; readonly authors: readonly string[] }
  );

export interface GithubSettings {
  readonly url: string;
  readonly api: string;
  readonly auth:
    | { readonly kind: "token"; readonly token: string }
    | { readonly kind: "app"; readonly id: number; readonly key: string; readonly installation: number | null };
  readonly for: readonly string[];
}

export interface SmtpSettings {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte; else by STARTTLS, unless `plain`. */
  readonly tls: boolean;
  readonly plain: boolean;
  readonly auth: { readonly user: string; readonly password: string } | null;
  readonly from: string;
  readonly ca: string | null;
}

export interface NotifySettings {
  readonly targets: readonly Target[];
  readonly github: GithubSettings | null;
  readonly smtp: SmtpSettings | null;
}

export const NOBODY: NotifySettings = { targets: [], github: null, smtp: null };

export const GITHUB = "github";

/**
 * @param read gives the text of a file
 * @throws {ToroidError} TOR_CONFIG_INVALID with one sentence for each thing that is wrong
 */
export function notifySettings(path: string, text: string, read: (path: string) => string): NotifySettings {
  const parsed = file.safeParse(jsonOf(path, text));
  if (!parsed.success) {
    const sentences = parsed.error.issues.map((issue) => sentenceAt(path, issue));
    throw new ToroidError("TOR_CONFIG_INVALID", [...new Set(sentences)].join("; "));
  }
  const { targets, github: forge, smtp: mail } = parsed.data;
  const open = (said: Said): string => (typeof said === "string" ? said : read(said.file).trim());
  const missing = Object.entries(targets).flatMap(([name, one]) =>
    "email" in one && mail === undefined ? [name] : [],
  );
  if (missing.length > 0) {
    const why = `${path}: targets.${missing.join(", targets.")}: e-mail needs \`smtp\`, which is not there`;
    throw new ToroidError("TOR_CONFIG_INVALID", why);
  }
  return {
    targets: Object.entries(targets).map(([name, one]) => targetOf(path, name, one, open)),
    github: forge === undefined ? null : githubOf(path, forge, open),
    smtp: mail === undefined ? null : smtpOf(path, mail, open, read),
  };
}

function jsonOf(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What the parser says may quote the file, and there are secrets in it.
    throw new ToroidError("TOR_CONFIG_INVALID", `${path} (TOROID_NOTIFY) is no JSON`);
  }
}

/** Without the values, which may be secret. */
function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_key") return issue.issues.map(messageOf).join(", ");
  return issue.message.replaceAll(/received .*$/g, "found something else");
}

function sentenceAt(path: string, issue: z.core.$ZodIssue): string {
  const where = issue.path.join(".");
  return `${path}: ${where === "" ? "" : `${where}: `}${messageOf(issue)}`;
}

function targetOf(path: string, name: string, one: SaidTarget, open: (said: Said) => string): Target {
  const { for: forThem, allow, on } = one;
  const shared = { name, for: forThem, allow, on };
  if ("slack" in one) {
    const where = open(one.slack);
    if (!url.safeParse(where).success)
      throw new ToroidError("TOR_CONFIG_INVALID", `${path}: targets.${name}.slack: expected the URL of a webhook`);
    return { ...shared, channel: "slack", url: where };
  }
  if ("webhook" in one) {
    const key = open(one.secret);
    if (!/^whsec_[A-Za-z0-9+/]{32,}={0,2}$/.test(key)) {
      const how = "expected `whsec_` and 24 random bytes or more in base64: `openssl rand -base64 32` makes them";
      throw new ToroidError("TOR_CONFIG_INVALID", `${path}: targets.${name}.secret: ${how}`);
    }
    return { ...shared, channel: "webhook", url: one.webhook, secret: key };
  }
  return { ...shared, channel: "email", to: one.email, authors: one.authors };
}

function githubOf(path: string, one: z.output<typeof github>, open: (said: Said) => string): GithubSettings {
  const base = one.url.replace(/\/+$/, "");
  const api = (one.api ?? (base === "https://github.com" ? "https://api.github.com" : `${base}/api/v3`)).replace(
    /\/+$/,
    "",
  );
  const { app, token } = one;
  if (app !== undefined) {
    const { id, key, installation = null } = app;
    const pem = open(key);
    if (!isPrivateKey(pem))
      throw new ToroidError("TOR_CONFIG_INVALID", `${path}: github.app.key: expected the app's private key, as PEM`);
    return { url: base, api, for: one.for, auth: { kind: "app", id, key: pem, installation } };
  }
  return { url: base, api, for: one.for, auth: { kind: "token", token: token === undefined ? "" : open(token) } };
}

function isPrivateKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === "rsa";
  } catch {
    return false;
  }
}

function smtpOf(
  path: string,
  one: z.output<typeof smtp>,
  open: (said: Said) => string,
  read: (path: string) => string,
): SmtpSettings {
  const { protocol, hostname, port } = new URL(one.url);
  const tls = protocol === "smtps:";
  if ((one.user === undefined) !== (one.password === undefined))
    throw new ToroidError("TOR_CONFIG_INVALID", `${path}: smtp: \`user\` and \`password\` go together`);
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? (tls ? 465 : 587) : Number(port),
    tls,
    plain: one.plain,
    auth:
      one.user === undefined || one.password === undefined ? null : { user: one.user, password: open(one.password) },
    from: one.from,
    ca: one.ca === undefined ? null : read(one.ca),
  };
}

/** Where a target leads to, without what is secret in it. */
export function whereOf(target: Target): string {
  if (target.channel === "email")
    return [...target.to, ...target.authors.map((domain) => `authors at ${domain}`)].join(", ");
  return new URL(target.url).host;
}

/** Everything of the settings that must never be shown. */
export function secretsIn({ targets, github: forge, smtp: mail }: NotifySettings): readonly string[] {
  const own = targets.flatMap((one) =>
    one.channel === "slack"
      ? [one.url, new URL(one.url).pathname]
      : one.channel === "webhook"
        ? [one.secret, one.url]
        : [],
  );
  const auth = forge?.auth;
  const keys = auth === undefined ? [] : [auth.kind === "token" ? auth.token : auth.key];
  const all = [...own, ...keys, ...(mail?.auth === null || mail === null ? [] : [mail.auth.password])];
  return all.filter((one) => one.length >= 4);
}
