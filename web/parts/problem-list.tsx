import type { JSX } from "preact";
import type { BuildSummary } from "../../protocol/summary.ts";

/** What is wrong with a repository's file, each in its place. */
export function ProblemList({ problems }: { readonly problems: BuildSummary["problems"] }): JSX.Element {
  return (
    <ol class="problems">
      {problems.map(({ file, line, column, message, hint, path, frame }) => (
        <li key={`${line}:${column}:${path}`}>
          {frame === "" ? (
            <>
              <p>
                <code>
                  {file}:{line}:{column}
                </code>{" "}
                {message}
              </p>
              {hint !== null && <p class="hint">{hint}</p>}
            </>
          ) : (
            <pre>{frame}</pre>
          )}
        </li>
      ))}
    </ol>
  );
}
