import type { JSX } from "preact";
import { hrefOf } from "../live/location.ts";
import { useTitle } from "../live/title.ts";
import { Link } from "../parts/link.tsx";

export function NotFoundPage(): JSX.Element {
  useTitle("Not found", "calm");
  return (
    <>
      <h1>There is no such page</h1>
      <p>
        <Link to={hrefOf({ page: "board" })}>The board</Link>
      </p>
    </>
  );
}
