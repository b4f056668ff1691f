/** Tokens without a coordinator: for an operator, who has NATS and needs a first one. */
import type { Jet } from "../../kit/jetstream.ts";
import { openBucket } from "../../kit/topology.ts";
import type { TokenView } from "../../protocol/access.ts";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import { TOKENS } from "../../protocol/streams.ts";
import { openAudit } from "./audit.ts";
import { localPrincipal } from "./principal.ts";
import { newTokenFor, type TokenWish } from "./token-rules.ts";
import { Tokens } from "./tokens.ts";

export interface TokenStore extends AsyncDisposable {
  create(wish: TokenWish): Promise<TokenView & { readonly secret: string }>;
  list(): Promise<readonly TokenView[]>;
  remove(id: string): Promise<void>;
}

/** Takes `jet` over: it is closed with the store, or when there is none. */
export async function openTokenStore(
  jet: Jet & AsyncDisposable,
  { who, from }: { readonly who: string; readonly from: string },
): Promise<TokenStore> {
  const kv = await openBucket(jet, TOKENS).catch(async (cause: unknown) => {
    await jet[Symbol.asyncDispose]();
    const why = `there are no tokens at this NATS (${sentenceOf(cause)}): start a coordinator first, which makes room`;
    throw new ToroidError("TOR_NOT_FOUND", why, {}, { cause });
  });
  const tokens = new Tokens(kv, Date.now);
  const audit = openAudit(jet);
  const operator = localPrincipal(who);
  const record = async (action: string, target: string): Promise<void> => {
    const done = { status: 200, code: null, requestId: "", why: "" };
    await audit.write({ atMs: Date.now(), who, via: "direct", from, action, target, repository: null, ...done });
  };
  return {
    async create(wish) {
      const made = await tokens.create(newTokenFor(operator, wish, Date.now()), who);
      await record("create token", made.id);
      return made;
    },
    list: () => tokens.list(),
    async remove(id) {
      if ((await tokens.find(id)) === null) throw new ToroidError("TOR_NOT_FOUND", `there is no token ${id}`);
      await tokens.remove(id);
      await record("remove token", id);
    },
    [Symbol.asyncDispose]: () => jet[Symbol.asyncDispose](),
  };
}
