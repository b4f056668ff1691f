import type { JSX } from "preact";
import type { Pages } from "../live/pages.ts";
import { Failure } from "./failure.tsx";

interface Props {
  readonly pages: Pick<Pages<unknown>, "items" | "loading" | "older" | "olderFailed">;
  /** What there is not, when there is nothing. */
  readonly nothing: string;
}

/** What goes below and instead of a list that comes in pages. */
export function Older({ pages: { items, loading, older, olderFailed }, nothing }: Props): JSX.Element {
  return (
    <>
      {loading.state === "failed" && <Failure error={loading.error} />}
      {loading.state === "there" && items.length === 0 && <p>{nothing}</p>}
      {loading.state === "loading" && items.length === 0 && <p>Loading…</p>}
      {olderFailed !== null && <Failure error={olderFailed} />}
      {older !== null && (
        <p>
          <button type="button" onClick={older}>
            Older
          </button>
        </p>
      )}
    </>
  );
}
