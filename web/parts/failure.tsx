import type { JSX } from "preact";
import type { ApiError } from "../live/api.ts";

/** An error in words. What its sentence has in back quotes, people may want to copy. */
export function Failure({ error }: { readonly error: ApiError }): JSX.Element {
  const parts = error.message.split(/`([^`]+)`/);
  return (
    <p class="failure" role="alert">
      {parts.map((part, at) => (at % 2 === 1 ? <code key={part}>{part}</code> : part))}{" "}
      {error.code !== "" && <code class="code">{error.code}</code>}
    </p>
  );
}
