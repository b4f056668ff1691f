import { hostname } from "node:os";
import { z } from "zod";
import { type MadeToken, madeToken, type TokenView, tokenList, tokenScope } from "../../protocol/access.ts";
import { EXIT, usageError } from "../exit.ts";
import { oneLine } from "../text/output.ts";
import { tokenTable } from "../text/tokens.ts";
import { type Context, verb } from "../verb.ts";

const DEFAULT_DAYS = 90;
const DIRECT = { flags: "--direct", about: "at NATS itself (TOROID_NATS_URL), as an operator on a coordinator's host" };
const direct = z.boolean().default(false);

export const tokenCreate = verb({
  usage: "token create <name>",
  summary: "make a token for the API; it is printed once and kept nowhere",
  examples: [
    "toroid token create ops --scope admin --direct        (the first one, on a coordinator's host)",
    "toroid token create deploy-bot --scope operate --repository acme/api --days 365",
    "toroid token create ada --user ada --scope operate    (for somebody else; by an admin)",
  ],
  flags: [
    { flags: "--scope <role>", about: "read (the default), operate, or admin" },
    { flags: "--repository <name>", about: "only of this one, or a pattern (acme/*); may be given again", many: true },
    { flags: "--days <number>", about: `until it expires (default: ${DEFAULT_DAYS}; 0: never)` },
    { flags: "--user <name>", about: "in whose name it acts (default: yours; with --direct the token's)" },
    DIRECT,
  ],
  options: z.object({
    scope: z.enum(tokenScope.options, { error: "--scope must be read, operate or admin" }).default("read"),
    repository: z.array(z.string()).default([]),
    days: z
      .string()
      .regex(/^[0-9]{1,5}$/, "--days must be a whole number of days")
      .default(String(DEFAULT_DAYS)),
    user: z.string().optional(),
    direct,
  }),
  async run(context, [name = ""], { scope, repository, days, user = null, direct: isDirect }) {
    const wish = {
      name,
      scope,
      repositories: repository.length === 0 ? null : repository,
      days: Number(days) === 0 ? null : Number(days),
      user,
    };
    const make = async (): Promise<MadeToken> => {
      if (!isDirect) return context.api().post("api/v1/tokens", wish, madeToken);
      await using store = await openDirect(context);
      return await store.create({ ...wish, user: user ?? name });
    };
    const made = await make();
    await context.out(context.json ? `${JSON.stringify(made)}\n` : `${made.secret}\n`);
    const until = made.expiresAtMs === null ? "never expires" : `expires ${new Date(made.expiresAtMs).toISOString()}`;
    context.err(`token ${made.id}: ${made.scope}, acts as ${oneLine(made.user, 100)}, ${until}; it is not shown again`);
    return EXIT.ok;
  },
});

export const tokenLs = verb({
  usage: "token ls",
  summary: "your tokens, an admin's: of everybody; who made them, what they may do, when they were used last",
  examples: ["toroid token ls", "toroid token ls --direct   (on a coordinator's host)"],
  flags: [DIRECT],
  options: z.object({ direct }),
  async run(context, _args, { direct: isDirect }) {
    const list = async (): Promise<readonly TokenView[]> => {
      if (!isDirect) return (await context.api().get("api/v1/tokens", tokenList)).tokens;
      await using store = await openDirect(context);
      return await store.list();
    };
    const tokens = await list();
    if (context.json) await context.out(`${JSON.stringify({ tokens })}\n`);
    else if (tokens.length > 0) await context.out(tokenTable(tokens, Date.now()));
    else context.err("there is no token");
    return EXIT.ok;
  },
});

export const tokenRm = verb({
  usage: "token rm <id>",
  summary: "remove a token: whoever has it is let in no more, at once",
  examples: ["toroid token rm 0f3c9a17d2b84e65"],
  flags: [DIRECT],
  options: z.object({ direct }),
  async run(context, [id = ""], { direct: isDirect }) {
    if (!/^[0-9a-f]{16}$/.test(id)) throw usageError(`${JSON.stringify(id)} is no token's id: see \`toroid token ls\``);
    if (isDirect) {
      await using store = await openDirect(context);
      await store.remove(id);
    } else await context.api().delete(`api/v1/tokens/${id}`);
    context.err(`token ${id} is removed`);
    return EXIT.ok;
  },
});

/** For who may do everything at NATS anyway; in the record of changes as `direct`. */
async function openDirect({ environment, who }: Context) {
  const [{ connectJet }, { openTokenStore }] = await Promise.all([
    import("../../kit/jetstream.ts"),
    import("../../coordinator/access/direct.ts"),
  ]);
  const url = environment["TOROID_NATS_URL"] || "nats://127.0.0.1:4222";
  return openTokenStore(await connectJet({ url, name: "toroid-token" }), { who: who ?? "operator", from: hostname() });
}
