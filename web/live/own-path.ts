/**
 * The address to go on to after signing in, if it is one of ours: browsers read `/\evil.example` and others as addresses
 * of another host, so that it is read as a browser reads it.
 */
export function ownPath(to: string): string {
  const base = "http://toroid.invalid";
  const url = URL.parse(to, base);
  if (url === null || url.origin !== base || !to.startsWith("/") || url.pathname.startsWith("//")) return "/";
  return url.pathname + url.search + url.hash;
}
