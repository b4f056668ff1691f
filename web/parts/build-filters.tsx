import type { JSX } from "preact";
import { BUILD_STATES } from "../live/build-filter.ts";
import type { BuildFilter } from "../live/location.ts";

interface Props {
  readonly filter: BuildFilter;
  readonly change: (next: BuildFilter) => void;
}

/** By branch, state and author. Text counts once it is entered, so that no half of a name is looked for. */
export function BuildFilters({ filter, change }: Props): JSX.Element {
  const { branch = null, state = null, author = null } = filter;
  const entered = (value: string): string | null => value.trim() || null;
  return (
    <search class="filters" aria-label="Builds">
      <input
        type="search"
        aria-label="Branch"
        placeholder="Branch"
        data-filter=""
        value={branch ?? ""}
        onChange={(event) => change({ ...filter, branch: entered(event.currentTarget.value) })}
      />
      <input
        type="search"
        aria-label="Author"
        placeholder="Author"
        value={author ?? ""}
        onChange={(event) => change({ ...filter, author: entered(event.currentTarget.value) })}
      />
      <select
        aria-label="State"
        value={state ?? ""}
        onChange={(event) => change({ ...filter, state: event.currentTarget.value || null })}
      >
        <option value="">Any state</option>
        {BUILD_STATES.map(([value, text]) => (
          <option value={value} key={value}>
            {text}
          </option>
        ))}
      </select>
    </search>
  );
}
