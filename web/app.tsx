import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { hrefOf, type Route, readRoute, useLocation } from "./live/location.ts";
import { isShutOut, me } from "./live/me.ts";
import { ownPath } from "./live/own-path.ts";
import { useStore } from "./live/store.ts";
import { AuditPage } from "./pages/audit.tsx";
import { BoardPage } from "./pages/board.tsx";
import { BuildPage } from "./pages/build.tsx";
import { BuildsPage } from "./pages/builds.tsx";
import { DeadLettersPage } from "./pages/dead-letters.tsx";
import { ExecutorsPage } from "./pages/executors.tsx";
import { NotFoundPage } from "./pages/not-found.tsx";
import { SettingsPage } from "./pages/settings.tsx";
import { SignInPage } from "./pages/sign-in.tsx";
import { Keys } from "./parts/keys.tsx";
import { Link } from "./parts/link.tsx";
import { LinkState } from "./parts/link-state.tsx";
import { ThemeButton } from "./parts/theme-button.tsx";
import { WhoAmI } from "./parts/who-am-i.tsx";

type Known = Exclude<Route, { readonly page: "notFound" }>;

const NAVIGATION: readonly (readonly [Known, string])[] = [
  [{ page: "board" }, "Board"],
  [{ page: "builds", repository: null }, "Builds"],
  [{ page: "executors" }, "Executors"],
  [{ page: "deadLetters", state: "waiting" }, "Dead letters"],
  [{ page: "audit", who: null, target: null }, "Audit"],
  [{ page: "settings" }, "Settings"],
];

/** Everything on the page. A new page gets the focus, as a page load would. */
export function App(): JSX.Element {
  const location = useLocation();
  const route = readRoute(location);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const where = placeOf(route);
  const who = useStore(me);
  const mustSignIn = route.page === "signIn" || isShutOut(who);
  useEffect(() => {
    if (!first.current) main.current?.focus();
    first.current = false;
  }, [where]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <header class="top">
        <Link class="brand" to={hrefOf({ page: "board" })}>
          <svg viewBox="0 0 16 16" width="20" height="20" aria-hidden="true">
            <circle cx="8" cy="8" r="5" fill="none" stroke="currentColor" stroke-width="4" />
          </svg>
          Toroid
        </Link>
        <nav aria-label="Main">
          {NAVIGATION.map(([to, text]) => (
            <Link to={hrefOf(to)} current={route.page === to.page} key={text}>
              {text}
            </Link>
          ))}
        </nav>
        <div class="tools">
          <LinkState />
          <WhoAmI />
          <ThemeButton />
          <Keys />
        </div>
      </header>
      <main id="main" tabIndex={-1} ref={main}>
        {mustSignIn ? <SignIn location={location} route={route} /> : <Page route={route} />}
      </main>
    </>
  );
}

/** In the place of what was asked for, which is there again afterwards. */
function SignIn({ location, route }: { readonly location: URL; readonly route: Route }): JSX.Element {
  const who = useStore(me);
  if (who === null) return <p>Loading…</p>;
  const to = route.page === "signIn" ? (location.searchParams.get("to") ?? "/") : location.pathname + location.search;
  // What another page wrote into the address leads nowhere else.
  return <SignInPage who={who} to={ownPath(to)} problem={location.searchParams.get("problem")} />;
}

function Page({ route }: { readonly route: Route }): JSX.Element {
  switch (route.page) {
    case "board":
      return <BoardPage />;
    case "builds":
      return <BuildsPage filter={route} key={route.repository} />;
    case "build":
      return <BuildPage id={route.id} chosen={route.stage} key={hrefOf({ ...route, stage: null })} />;
    case "executors":
      return <ExecutorsPage />;
    case "deadLetters":
      return <DeadLettersPage state={route.state} />;
    case "audit":
      return <AuditPage filter={route} />;
    case "settings":
      return <SettingsPage />;
    case "signIn":
    case "notFound":
      return <NotFoundPage />;
  }
}

/** Another stage of the same build is the same page, and so is the same list by another filter. */
function placeOf(route: Route): string {
  switch (route.page) {
    case "build":
      return hrefOf({ ...route, stage: null });
    case "builds":
      return hrefOf({ page: "builds", repository: route.repository });
    default:
      return route.page;
  }
}
