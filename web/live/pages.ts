import { useState } from "preact/hooks";
import type { ApiError } from "./api.ts";
import { asApiError, type Loading, useLoad } from "./load.ts";

/** A list that the API gives in pages, newest first. */
export interface Pages<T> {
  readonly items: readonly T[];
  readonly loading: Loading;
  /** Null: there is nothing older. */
  readonly older: (() => void) | null;
  readonly olderFailed: ApiError | null;
  /** Asks for the first page again: what is new comes before the rest, what changed in its place. */
  readonly refresh: () => Promise<void>;
  /** Puts a newer version of one in its place. */
  readonly replace: (item: T) => void;
}

/** Loads the first page whenever `keys` change, and one more each time `older` is called. */
export function usePages<T>(
  load: (before: string | null) => Promise<{ readonly items: readonly T[]; readonly next: string | null }>,
  keyOf: (item: T) => string | number,
  keys: readonly unknown[],
): Pages<T> {
  const [items, setItems] = useState<readonly T[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const [olderFailed, setOlderFailed] = useState<ApiError | null>(null);
  const loading = useLoad(async () => {
    const page = await load(null);
    setItems(page.items);
    setNext(page.next);
  }, keys);
  const older = (): void => {
    load(next).then(
      (page) => {
        setItems((before) => [...before, ...page.items]);
        setNext(page.next);
        setOlderFailed(null);
      },
      (error: unknown) => setOlderFailed(asApiError(error)),
    );
  };
  return {
    items,
    loading,
    older: next === null ? null : older,
    olderFailed,
    refresh: async () => {
      const page = await load(null);
      const newer = new Map(page.items.map((one) => [keyOf(one), one]));
      setItems((all) => {
        const known = new Set(all.map(keyOf));
        return [
          ...page.items.filter((one) => !known.has(keyOf(one))),
          ...all.map((one) => newer.get(keyOf(one)) ?? one),
        ];
      });
    },
    replace: (item) => setItems((all) => all.map((one) => (keyOf(one) === keyOf(item) ? item : one))),
  };
}
