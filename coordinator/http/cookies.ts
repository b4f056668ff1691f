/** The cookies of the page: what they are called and how they are set depends on whether people come by TLS. */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { HttpConfig } from "../config.ts";

export type Cookie = "session" | "journey";

export interface Cookies {
  read(request: Pick<FastifyRequest, "cookies">, which: Cookie): string | null;
  set(reply: FastifyReply, which: Cookie, value: string, lifeMs: number): void;
  clear(reply: FastifyReply, which: Cookie): void;
}

/**
 * By TLS they have a name that only this host over TLS can set (`__Host-`): no page of a neighbouring host, and nobody
 * on the way, can put one of theirs in its place.
 */
export function cookiesFor({ publicUrl }: Pick<HttpConfig, "publicUrl">): Cookies {
  const secure = publicUrl?.startsWith("https:") === true;
  const names: Readonly<Record<Cookie, string>> = secure
    ? { session: "__Host-toroid", journey: "__Host-toroid-journey" }
    : { session: "toroid", journey: "toroid-journey" };
  const how = { path: "/", httpOnly: true, secure, sameSite: "lax" } as const;
  return {
    read: ({ cookies }, which) => cookies[names[which]] ?? null,
    set: (reply, which, value, lifeMs) =>
      void reply.setCookie(names[which], value, { ...how, maxAge: Math.floor(lifeMs / 1_000) }),
    clear: (reply, which) => void reply.clearCookie(names[which], how),
  };
}
