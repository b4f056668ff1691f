import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { hrefOf, type Route, readRoute, useLocation } from "./live/location.ts";
import { BuildPage } from "./pages/build.tsx";
import { BuildsPage } from "./pages/builds.tsx";
import { ExecutorsPage } from "./pages/executors.tsx";
import { NotFoundPage } from "./pages/not-found.tsx";
import { Link } from "./parts/link.tsx";
import { LinkState } from "./parts/link-state.tsx";
import { ThemeButton } from "./parts/theme-button.tsx";

/** Everything on the page. A new page gets the focus, as a page load would. */
export function App(): JSX.Element {
  const location = useLocation();
  const route = readRoute(location);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  const where = pageOf(route);
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
        <Link class="brand" to={hrefOf({ page: "builds", repository: null })}>
          <svg viewBox="0 0 16 16" width="20" height="20" aria-hidden="true">
            <circle cx="8" cy="8" r="5" fill="none" stroke="currentColor" stroke-width="4" />
          </svg>
          Toroid
        </Link>
        <nav aria-label="Main">
          <Link to={hrefOf({ page: "builds", repository: null })} current={route.page === "builds"}>
            Builds
          </Link>
          <Link to={hrefOf({ page: "executors" })} current={route.page === "executors"}>
            Executors
          </Link>
        </nav>
        <LinkState />
        <ThemeButton />
      </header>
      <main id="main" tabIndex={-1} ref={main}>
        <Page route={route} />
      </main>
    </>
  );
}

function Page({ route }: { readonly route: Route }): JSX.Element {
  switch (route.page) {
    case "builds":
      return <BuildsPage repository={route.repository} key={route.repository} />;
    case "build":
      return <BuildPage id={route.id} chosen={route.stage} key={hrefOf({ ...route, stage: null })} />;
    case "executors":
      return <ExecutorsPage />;
    case "notFound":
      return <NotFoundPage />;
  }
}

/** Another stage of the same build is the same page. */
function pageOf(route: Route): string {
  return route.page === "build" ? hrefOf({ ...route, stage: null }) : JSON.stringify(route);
}
