import type { JSX } from "preact";
import type { ApiError } from "../live/api.ts";

export function Failure({ error }: { readonly error: ApiError }): JSX.Element {
  return (
    <p class="failure" role="alert">
      {error.message} {error.code !== "" && <code>{error.code}</code>}
    </p>
  );
}
