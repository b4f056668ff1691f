import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { MadeToken, TokenScope, TokenView } from "../../protocol/access.ts";
import { useLoad } from "../live/load.ts";
import { createToken, fetchTokens, removeToken } from "../live/system.ts";
import { Act } from "./act.tsx";
import { Failure } from "./failure.tsx";
import { ReasonDialog } from "./reason-dialog.tsx";
import { Ago, At } from "./time.tsx";

/** Tokens that the one at the page may see: made here, shown once, removed here. */
export function Tokens(): JSX.Element {
  const [tokens, setTokens] = useState<readonly TokenView[]>([]);
  const [changes, setChanges] = useState(0);
  const [made, setMade] = useState<MadeToken | null>(null);
  const loading = useLoad(async () => setTokens((await fetchTokens()).tokens), [changes]);
  const changed = (): void => setChanges((before) => before + 1);
  return (
    <section aria-labelledby="tokens">
      <div class="section-head">
        <h2 id="tokens">Tokens</h2>
        <Act
          label="New token"
          dialog={(close) => (
            <NewToken
              learn={(token) => {
                setMade(token);
                changed();
              }}
              close={close}
            />
          )}
        >
          New token…
        </Act>
      </div>
      {loading.state === "failed" && <Failure error={loading.error} />}
      {loading.state === "there" && tokens.length === 0 && (
        <p>There is none. Programs ask with one, and so do people.</p>
      )}
      <ul class="rows">
        {tokens.map((token) => (
          <Token token={token} changed={changed} key={token.id} />
        ))}
      </ul>
      {made !== null && <Secret token={made} close={() => setMade(null)} />}
    </section>
  );
}

function Token({ token, changed }: { readonly token: TokenView; readonly changed: () => void }): JSX.Element {
  const { name, user, scope, repositories, by, createdAtMs, expiresAtMs, lastUsedAtMs } = token;
  return (
    <li class="token">
      <div class="what">
        <p class="name" tabIndex={-1}>
          {name}
        </p>
        <p>
          <b>{scope}</b> for {repositories === null ? "all repositories" : repositories.join(", ")}, as {user}
        </p>
        <p class="from">
          made by {by} <Ago atMs={createdAtMs} />,{" "}
          {expiresAtMs === null ? (
            "expires never"
          ) : (
            <>
              expires <At atMs={expiresAtMs} />
            </>
          )}
          , {lastUsedAtMs === null ? "never used" : "used "}
          {lastUsedAtMs !== null && <Ago atMs={lastUsedAtMs} />}
        </p>
      </div>
      <div class="acts">
        <Act
          label={`Revoke token ${name}`}
          dialog={(close) => (
            <ReasonDialog
              title={`Revoke ${name}?`}
              explains="Whoever asks with it is refused from then on. It cannot be brought back."
              action="Revoke"
              required={null}
              submit={async () => {
                await removeToken(token);
                changed();
              }}
              close={close}
            />
          )}
        >
          Revoke…
        </Act>
      </div>
    </li>
  );
}

const SCOPES: readonly (readonly [TokenScope, string])[] = [
  ["read", "see builds, logs and environments"],
  ["operate", "trigger, retry, pause, approve, promote as well"],
  ["admin", "everything"],
];
const LIVES: readonly (readonly [string, string])[] = [
  ["30", "30 days"],
  ["90", "90 days"],
  ["365", "a year"],
  ["", "it never expires"],
];

function NewToken({
  learn,
  close,
}: {
  readonly learn: (made: MadeToken) => void;
  readonly close: () => void;
}): JSX.Element {
  const submit = async (_reason: string, form: FormData): Promise<void> => {
    const text = (field: string): string => {
      const value = form.get(field);
      return typeof value === "string" ? value.trim() : "";
    };
    const names = text("repositories")
      .split(/[\s,]+/)
      .filter((one) => one !== "");
    learn(
      await createToken({
        name: text("name"),
        scope: SCOPES.find(([scope]) => scope === text("scope"))?.[0] ?? "read",
        repositories: names.length === 0 ? null : names,
        days: text("days") === "" ? null : Number(text("days")),
      }),
    );
  };
  return (
    <ReasonDialog
      title="New token"
      explains="It is shown once, and kept nowhere: copy it then."
      action="Make it"
      required={null}
      submit={submit}
      close={close}
    >
      <label>
        Name
        <input name="name" type="text" required maxLength={100} autocomplete="off" autofocus />
      </label>
      <label>
        It may
        <select name="scope">
          {SCOPES.map(([value, words]) => (
            <option value={value} key={value}>
              {value}: {words}
            </option>
          ))}
        </select>
      </label>
      <label>
        Repositories, apart by spaces (none: all that you may)
        <input name="repositories" type="text" placeholder="acme/api acme/web-*" autocomplete="off" />
      </label>
      <label>
        For
        <select name="days" value="90">
          {LIVES.map(([value, words]) => (
            <option value={value} key={value}>
              {words}
            </option>
          ))}
        </select>
      </label>
    </ReasonDialog>
  );
}

/** The one time that a token is seen. */
function Secret({ token, close }: { readonly token: MadeToken; readonly close: () => void }): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const [copied, setCopied] = useState("");
  useEffect(() => dialog.current?.showModal(), []);
  const copy = (): void => {
    navigator.clipboard.writeText(token.secret).then(
      () => setCopied("It is copied."),
      () => setCopied("The browser does not let it be copied: mark it and copy it yourself."),
    );
  };
  return (
    <dialog ref={dialog} onClose={close} aria-labelledby="secret-title">
      <form method="dialog">
        <h2 id="secret-title">The token {token.name}</h2>
        <p class="explains">This is the only time that it is shown.</p>
        <label>
          Token
          <input type="text" class="secret" readOnly value={token.secret} onFocus={(e) => e.currentTarget.select()} />
        </label>
        <p role="status">{copied}</p>
        <div class="buttons">
          <button type="button" onClick={copy}>
            Copy
          </button>
          <button type="submit" class="primary">
            Done
          </button>
        </div>
      </form>
    </dialog>
  );
}
