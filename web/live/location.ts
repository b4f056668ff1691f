import type { StageRef } from "./stage-ref.ts";
import { makeStore, useStore } from "./store.ts";

/** The address of a page. */
export type Route =
  | { readonly page: "builds"; readonly repository: string | null }
  | {
      readonly page: "build";
      readonly id: { readonly repository: string; readonly number: number };
      /** null: the one that people most likely want to see. */
      readonly stage: StageRef | null;
    }
  | { readonly page: "executors" }
  | { readonly page: "notFound" };

/** Reads `/builds/acme/api/42?stage=prod&round=2` and `/?repository=acme/api`. */
export function readRoute({ pathname, search }: Pick<URL, "pathname" | "search">): Route {
  const query = new URLSearchParams(search);
  if (pathname === "/") return { page: "builds", repository: query.get("repository") };
  if (pathname === "/executors") return { page: "executors" };
  const [, first, owner, name, number = "", ...rest] = pathname.split("/");
  if (first !== "builds" || !owner || !name || !/^[1-9][0-9]{0,14}$/.test(number) || rest.join("") !== "") {
    return { page: "notFound" };
  }
  const repository = `${decodeURIComponent(owner)}/${decodeURIComponent(name)}`;
  const stage = query.get("stage");
  const round = Number(query.get("round") ?? "1");
  return {
    page: "build",
    id: { repository, number: Number(number) },
    stage: stage === null ? null : { name: stage, round },
  };
}

/** The inverse of {@link readRoute}. */
export function hrefOf(route: Exclude<Route, { readonly page: "notFound" }>): string {
  if (route.page === "builds") {
    return route.repository === null ? "/" : `/?${new URLSearchParams({ repository: route.repository }).toString()}`;
  }
  if (route.page === "executors") return "/executors";
  const path = `/builds/${route.id.repository.split("/").map(encodeURIComponent).join("/")}/${route.id.number}`;
  if (route.stage === null) return path;
  const { name, round } = route.stage;
  return `${path}?${new URLSearchParams({ stage: name, round: String(round) }).toString()}`;
}

const current = makeStore(new URL(location.href));
addEventListener("popstate", () => current.set(new URL(location.href)));

export function useLocation(): URL {
  return useStore(current);
}

/** Goes to another page of ours without loading it anew. */
export function navigate(href: string): void {
  history.pushState(null, "", href);
  current.set(new URL(location.href));
}

/** The same page with another address: what was chosen on it can be shared, and is no step back. */
export function amend(href: string): void {
  history.replaceState(null, "", href);
  current.set(new URL(location.href));
}
