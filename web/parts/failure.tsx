import type { JSX } from "preact";
import type { ApiError } from "../live/api.ts";
import { Sentence } from "./sentence.tsx";

/** An error in words. */
export function Failure({ error }: { readonly error: ApiError }): JSX.Element {
  return (
    <p class="failure" role="alert">
      <Sentence text={error.message} /> {error.code !== "" && <code class="code">{error.code}</code>}
    </p>
  );
}
