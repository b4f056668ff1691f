/** Who may do what: as it is stored, and as the API tells it. */
import { z } from "zod";

export const scope = z.enum(["none", "read", "operate", "admin"]);
/** Of a token: one that may do nothing is none. */
export const tokenScope = z.enum(["read", "operate", "admin"]);
export type TokenScope = z.infer<typeof tokenScope>;

/** Somebody at GitHub, with what roles go by: as it was when they signed in. */
export const account = z.looseObject({
  login: z.string(),
  organizations: z.array(z.string()),
  /** `organization/team`, by their slugs. */
  teams: z.array(z.string()),
});
export type Account = z.infer<typeof account>;

/** In KV toroid_token, under `token.<id>`. Of the token itself only a hash is here. */
export const tokenRecord = z.looseObject({
  id: z.string(),
  /** SHA-256 of the whole token, in hex. */
  hash: z.string(),
  name: z.string(),
  /** In whose name it acts. */
  user: z.string(),
  scope: tokenScope,
  /** Names and patterns; null: all. */
  repositories: z.array(z.string()).nullable(),
  /** Of the person who made it for themselves: it may never do more than they may. */
  account: account.nullable(),
  by: z.string(),
  createdAtMs: z.number(),
  /** null: never. */
  expiresAtMs: z.number().nullable(),
});
export type TokenRecord = z.infer<typeof tokenRecord>;

/** In KV toroid_token, under `used.<id>`: roughly when it was used last. */
export const tokenUse = z.looseObject({ atMs: z.number() });

/** In KV toroid_session, under `session.<hash of the cookie>`: one of the two says who. */
export const sessionRecord = z.looseObject({
  account: account.nullable(),
  /** Id of the token that was signed in with: the session is worth what that is. */
  token: z.string().nullable(),
  createdAtMs: z.number(),
  expiresAtMs: z.number(),
});
export type SessionRecord = z.infer<typeof sessionRecord>;

export const tokenView = z.object({
  id: z.string(),
  name: z.string(),
  user: z.string(),
  scope: tokenScope,
  repositories: z.array(z.string()).nullable(),
  by: z.string(),
  createdAtMs: z.number(),
  expiresAtMs: z.number().nullable(),
  lastUsedAtMs: z.number().nullable(),
});
export type TokenView = z.infer<typeof tokenView>;

export const tokenList = z.object({ tokens: z.array(tokenView) });
/** The only time that the token itself is told. */
export const madeToken = tokenView.extend({ secret: z.string() });
export type MadeToken = z.infer<typeof madeToken>;

/** `GET /api/v1/me` */
export const me = z.looseObject({
  /** Empty when nobody is signed in. */
  name: z.string(),
  signedIn: z.boolean(),
  auth: z.enum(["none", "configured"]),
  /** How one can sign in. */
  ways: z.array(z.enum(["github", "token"])),
  /** The widest that they have anywhere. */
  scope,
  /** Where, when it is not everywhere: names and patterns. */
  grants: z.array(z.object({ scope, repositories: z.array(z.string()).nullable() })),
});
export type Me = z.infer<typeof me>;
