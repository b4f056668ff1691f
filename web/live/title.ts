import { useEffect } from "preact/hooks";

const ICONS: Readonly<Record<string, string>> = { good: "passed", bad: "failed", busy: "running", held: "waiting" };

/** Says in the tab what the page is, and by its icon how it is. */
export function useTitle(title: string, tone: string): void {
  useEffect(() => {
    document.title = `${title} · Toroid`;
    document.getElementById("icon")?.setAttribute("href", `/icons/${ICONS[tone] ?? "idle"}.svg`);
  }, [title, tone]);
}
