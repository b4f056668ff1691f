/** What a key does on a page. Pure; `parts/keys.tsx` does it. */

export type KeyAct =
  | { readonly kind: "help" }
  | { readonly kind: "filter" }
  | { readonly kind: "step"; readonly by: 1 | -1 }
  | { readonly kind: "go"; readonly to: string };

/** After `g`. */
export const JUMPS: Readonly<Record<string, readonly [path: string, name: string]>> = {
  b: ["/", "Board"],
  l: ["/builds", "List of builds"],
  e: ["/executors", "Executors"],
  d: ["/dead-letters", "Dead letters"],
  a: ["/audit", "Audit"],
  s: ["/settings", "Settings"],
};

/** `before` is the key that was pressed just before, if it was. Null: it does nothing. */
export function actOf(key: string, before: string | null): KeyAct | null {
  if (before === "g") {
    const jump = JUMPS[key];
    return jump === undefined ? null : { kind: "go", to: jump[0] };
  }
  switch (key) {
    case "?":
      return { kind: "help" };
    case "/":
      return { kind: "filter" };
    case "j":
      return { kind: "step", by: 1 };
    case "k":
      return { kind: "step", by: -1 };
    default:
      return null;
  }
}
