import type { StageRef } from "./stage-ref.ts";
import { makeStore, useStore } from "./store.ts";

/** Which builds a list shows; what is left out does not matter. */
export interface BuildFilter {
  readonly repository: string | null;
  readonly branch?: string | null;
  readonly state?: string | null;
  readonly author?: string | null;
}

/** The address of a page. */
export type Route =
  | { readonly page: "board" }
  | ({ readonly page: "builds" } & BuildFilter)
  | {
      readonly page: "build";
      readonly id: { readonly repository: string; readonly number: number };
      /** null: the one that people most likely want to see. */
      readonly stage: StageRef | null;
    }
  | { readonly page: "executors" | "settings" | "signIn" }
  | { readonly page: "deadLetters"; readonly state: string }
  | { readonly page: "audit"; readonly who: string | null; readonly target: string | null }
  | { readonly page: "notFound" };

const WAITING = "waiting";

/** Reads `/builds/acme/api/42?stage=prod&round=2` and `/builds?repository=acme/api&state=failed`. */
export function readRoute({ pathname, search }: Pick<URL, "pathname" | "search">): Route {
  const query = new URLSearchParams(search);
  switch (pathname) {
    case "/":
      return { page: "board" };
    case "/builds":
      return { page: "builds", ...filterFrom(query) };
    case "/executors":
      return { page: "executors" };
    case "/settings":
      return { page: "settings" };
    case "/sign-in":
      return { page: "signIn" };
    case "/dead-letters":
      return { page: "deadLetters", state: query.get("state") ?? WAITING };
    case "/audit":
      return { page: "audit", who: query.get("who"), target: query.get("target") };
    default:
      return readBuild(pathname, query);
  }
}

function readBuild(pathname: string, query: URLSearchParams): Route {
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

function filterFrom(query: URLSearchParams): BuildFilter {
  const [repository, branch, state, author] = ["repository", "branch", "state", "author"].map(
    (name) => query.get(name) || null,
  );
  return { repository: repository ?? null, branch: branch ?? null, state: state ?? null, author: author ?? null };
}

/** The inverse of {@link readRoute}. */
export function hrefOf(route: Exclude<Route, { readonly page: "notFound" }>): string {
  switch (route.page) {
    case "board":
      return "/";
    case "builds": {
      const { page: _, ...filter } = route;
      return withQuery("/builds", filter);
    }
    case "executors":
      return "/executors";
    case "settings":
      return "/settings";
    case "signIn":
      return "/sign-in";
    case "deadLetters":
      return withQuery("/dead-letters", { state: route.state === WAITING ? null : route.state });
    case "audit":
      return withQuery("/audit", { who: route.who, target: route.target });
    case "build": {
      const path = `/builds/${route.id.repository.split("/").map(encodeURIComponent).join("/")}/${route.id.number}`;
      if (route.stage === null) return path;
      const { name, round } = route.stage;
      return withQuery(path, { stage: name, round: String(round) });
    }
  }
}

/** `path` with what of `values` there is. */
export function withQuery(path: string, values: Readonly<Record<string, string | null | undefined>>): string {
  const query = new URLSearchParams(Object.entries(values).flatMap(([name, value]) => (value ? [[name, value]] : [])));
  return query.size === 0 ? path : `${path}?${query.toString()}`;
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
