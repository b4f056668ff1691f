import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Me } from "../../protocol/access.ts";
import type { ApiError } from "../live/api.ts";
import { asApiError } from "../live/load.ts";
import { withQuery } from "../live/location.ts";
import { signInByToken } from "../live/me.ts";
import { useTitle } from "../live/title.ts";
import { Failure } from "../parts/failure.tsx";

/** Why somebody came back from GitHub without being signed in. */
const PROBLEMS: Readonly<Record<string, string>> = {
  "not-listed": "GitHub knows you, but nobody has given you a role here. Ask an operator for one.",
  denied: "GitHub did not say who you are. Begin once more.",
  failed: "GitHub did not answer. Try again in a while.",
};

interface Props {
  readonly who: Me;
  /** Where to go afterwards. */
  readonly to: string;
  readonly problem: string | null;
}

/** Asks who is there, and goes on to where they were going. */
export function SignInPage({ who, to, problem }: Props): JSX.Element {
  useTitle("Sign in", "calm");
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(false);
  const send = (event: SubmitEvent): void => {
    event.preventDefault();
    const token = new FormData(event.currentTarget as HTMLFormElement).get("token");
    setBusy(true);
    signInByToken(typeof token === "string" ? token.trim() : "").then(
      // Everything anew: the stream of events was refused before.
      () => location.assign(to),
      (thrown: unknown) => {
        setBusy(false);
        setError(asApiError(thrown));
      },
    );
  };
  const trouble = problem === null ? null : (PROBLEMS[problem] ?? null);
  return (
    <div class="sign-in">
      <h1>{who.signedIn ? `Signed in as ${who.name}` : "Sign in"}</h1>
      {trouble !== null && (
        <p class="failure" role="alert">
          {trouble}
        </p>
      )}
      {who.auth === "none" && <p>Nobody has to sign in here: everybody who reaches this page may do everything.</p>}
      {who.ways.includes("github") && (
        <a class="button primary" href={withQuery("/auth/github", { to })}>
          Sign in with GitHub
        </a>
      )}
      {who.ways.includes("token") && (
        <form onSubmit={send}>
          <label>
            Token
            <input
              name="token"
              type="password"
              required
              maxLength={200}
              autocomplete="off"
              placeholder="trd_…"
              aria-describedby="token-about"
            />
          </label>
          <p id="token-about" class="soft">
            <code>toroid token create</code> makes one, and so does whoever is signed in, under Settings.
          </p>
          {error !== null && <Failure error={error} />}
          <button type="submit" class={who.ways.includes("github") ? undefined : "primary"} disabled={busy}>
            Sign in with a token
          </button>
        </form>
      )}
    </div>
  );
}
