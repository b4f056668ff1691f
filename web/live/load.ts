import { useEffect, useState } from "preact/hooks";
import { ApiError } from "./api.ts";
import { epoch, noteAnswer } from "./connection.ts";
import { useStore } from "./store.ts";

export type Loading =
  | { readonly state: "loading" }
  | { readonly state: "there" }
  | { readonly state: "failed"; readonly error: ApiError };

/** Loads at once, again when `keys` change, and again when the event stream had a gap. */
export function useLoad(load: () => Promise<void>, keys: readonly unknown[]): Loading {
  const [loading, setLoading] = useState<Loading>({ state: "loading" });
  const now = useStore(epoch);
  useEffect(() => {
    let current = true;
    load().then(
      () => {
        noteAnswer();
        if (current) setLoading({ state: "there" });
      },
      (error: unknown) => current && setLoading({ state: "failed", error: asApiError(error) }),
    );
    return () => {
      current = false;
    };
  }, [now, ...keys]);
  return loading;
}

export function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError(0, "TOR_INTERNAL", String(error));
}
