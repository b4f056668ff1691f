import { useEffect, useState } from "preact/hooks";

/** A value that parts of the page follow. */
export interface Store<T> {
  get(): T;
  set(next: T): void;
  /** Answers how to stop. */
  follow(listener: () => void): () => void;
}

export function makeStore<T>(initial: T): Store<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    set(next) {
      if (next === value) return;
      value = next;
      for (const listener of listeners) listener();
    },
    follow(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export function useStore<T>(store: Store<T>): T {
  const [value, setValue] = useState(store.get());
  useEffect(() => {
    const read = (): void => setValue(() => store.get());
    read(); // it may have changed between rendering and now
    return store.follow(read);
  }, [store]);
  return value;
}
