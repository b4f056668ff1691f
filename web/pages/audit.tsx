import type { JSX } from "preact";
import type { AuditEntry } from "../../protocol/audit.ts";
import { amend, hrefOf } from "../live/location.ts";
import { usePages } from "../live/pages.ts";
import { type AuditFilter, fetchAudit } from "../live/system.ts";
import { useTitle } from "../live/title.ts";
import { Older } from "../parts/older.tsx";
import { lookOfWord, State } from "../parts/state.tsx";
import { Ago } from "../parts/time.tsx";

/** Who changed what, from where, and why; what was refused, too. */
export function AuditPage({ filter }: { readonly filter: AuditFilter }): JSX.Element {
  useTitle("Audit", "calm");
  const { who, target } = filter;
  const pages = usePages(
    async (before) => {
      const { entries, next } = await fetchAudit(filter, before);
      return { items: entries, next };
    },
    (entry) => entry.seq,
    [who, target],
  );
  const change = (next: Partial<AuditFilter>): void => amend(hrefOf({ page: "audit", ...filter, ...next }));
  return (
    <>
      <div class="page-head">
        <h1>Audit</h1>
        <search class="filters" aria-label="Changes">
          <input
            type="search"
            aria-label="Who"
            placeholder="Who"
            data-filter=""
            value={who ?? ""}
            onChange={(event) => change({ who: event.currentTarget.value.trim() || null })}
          />
          <input
            type="search"
            aria-label="What it is about"
            placeholder="What it is about"
            value={target ?? ""}
            onChange={(event) => change({ target: event.currentTarget.value.trim() || null })}
          />
        </search>
      </div>
      <ul class="rows">
        {pages.items.map((entry) => (
          <Entry entry={entry} key={entry.seq} />
        ))}
      </ul>
      <Older pages={pages} nothing="Nothing was changed yet, or nothing that is like that." />
    </>
  );
}

function Entry({ entry }: { readonly entry: AuditEntry }): JSX.Element {
  const { who, via, from, action, target, why, status, code, atMs, requestId } = entry;
  return (
    <li class="entry">
      <State look={lookOfWord(status < 400 ? "done" : "refused")} />
      <div class="what">
        <p>
          <b>{who}</b> {action} <code>{target}</code>
        </p>
        {why !== "" && (
          <p>
            <q>{why}</q>
          </p>
        )}
        <p class="from">
          from {from} by {via}, answered {status}
          {code !== null && (
            <>
              {" "}
              <code>{code}</code>
            </>
          )}
          , request <code>{requestId}</code>
        </p>
      </div>
      <p class="when">
        <Ago atMs={atMs} />
      </p>
    </li>
  );
}
