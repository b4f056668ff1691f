/** Who is at this page, and what they may do. The coordinator decides; the page only says so beforehand. */
import type { Me } from "../../protocol/access.ts";
import { ask, signedOut } from "./api.ts";
import { makeStore, useStore } from "./store.ts";
import { whyNot } from "./why-not.ts";

/** Null: not known yet. */
export const me = makeStore<Me | null>(null);

export async function learnMe(): Promise<void> {
  me.set(await ask<Me>("/api/v1/me"));
}

/** Keeps {@link me} up to date: sessions end while pages are open. */
export function followMe(): void {
  const learn = (): void => {
    // The page shows by itself that the coordinator is away; who is at it has not changed by that.
    learnMe().catch(() => undefined);
  };
  signedOut.follow(learn);
  document.addEventListener("visibilitychange", () => document.hidden || learn());
}

/** Has to sign in before anything else. */
export function isShutOut(who: Me | null): boolean {
  return who !== null && who.auth === "configured" && !who.signedIn;
}

export async function signInByToken(token: string): Promise<void> {
  me.set(await ask<Me>("/auth/token", { token }));
}

export async function signOut(): Promise<void> {
  await ask("/auth/sign-out", {});
}

/** Why the one at the page may not do what needs this role, for a repository or (null) for all; null: they may. */
export function useWhyNot(needs: "operate" | "admin", repository: string | null): string | null {
  return whyNot(useStore(me), needs, repository);
}
