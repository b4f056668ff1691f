import type { JSX } from "preact";
import { me, signOut } from "../live/me.ts";
import { useStore } from "../live/store.ts";

/** Who is signed in, and the way out. Where nobody has to sign in there is nothing to say. */
export function WhoAmI(): JSX.Element | null {
  const who = useStore(me);
  if (who === null || who.auth === "none" || !who.signedIn) return null;
  const leave = (): void => {
    // Whether or not it was heard: the page begins anew, and says who is signed in then.
    signOut().then(
      () => location.assign("/"),
      () => location.reload(),
    );
  };
  return (
    <>
      <span class="who">
        <span class="soft">as</span> <b>{who.name}</b> <span class="soft">({who.scope})</span>
      </span>
      <button type="button" class="quiet" onClick={leave}>
        Sign out
      </button>
    </>
  );
}
