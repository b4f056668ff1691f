/** What a list of hosts under `network` may name. IPv4 alone: a build has no IPv6. */

export interface Host {
  /** A name, in small letters; null for an address or a network. */
  readonly name: string | null;
  /** `203.0.113.5` or `203.0.113.0/24`; null for a name. */
  readonly network: string | null;
  /** null: every port, and whatever else is sent there. */
  readonly port: number | null;
}

export const MAX_HOSTS = 64;
const LONGEST_NAME = 253;
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/** Reads `example.com`, `203.0.113.5` or `203.0.113.0/24`, each with `:PORT` or without; a whole sentence when it is none. */
export function readHost(text: string): Host | { readonly problem: string } {
  const word = text.trim().toLowerCase();
  if (word === "") return { problem: "the name of a host cannot be empty" };
  if (word.includes("*"))
    return { problem: "hosts cannot be listed by a pattern: a build is held to addresses, so each needs its name" };
  if (word.includes("://")) return { problem: "expected the name of a host, found a URL; write `example.com:443`" };
  if (/[[\]]|:.*:/.test(word))
    return { problem: "expected an IPv4 address or a name, found IPv6, which a build does not have" };
  const [place = "", portText] = word.split(":");
  const port = portText === undefined ? null : portOf(portText);
  if (port === undefined) return { problem: "expected a port from 1 to 65535 after the `:`" };
  if (isNumeric(place)) return networkOf(place, port);
  if (place.includes("/")) return { problem: "expected the name of a host, found a path; write `example.com`" };
  return nameOf(place.replace(/\.$/, ""), port);
}

/** As it stands in a plan: the same host is always the same text. */
export function hostText({ name, network, port }: Host): string {
  return `${name ?? network ?? ""}${port === null ? "" : `:${port}`}`;
}

function portOf(text: string): number | undefined {
  const port = Number(text);
  return /^\d{1,5}$/.test(text) && port >= 1 && port <= 65_535 ? port : undefined;
}

/** What programs would take for an address in one spelling or other: no name ends in a number. */
function isNumeric(place: string): boolean {
  const [address = ""] = place.split("/");
  const last = address.split(".").findLast((part) => part !== "") ?? "";
  return /^(\d+|0x[0-9a-f]*)$/.test(last);
}

function nameOf(name: string, port: number | null): Host | { readonly problem: string } {
  if (name.length > LONGEST_NAME || !name.split(".").every((label) => LABEL.test(label)))
    return { problem: "expected the name of a host: letters, digits, `-` and `_` between dots" };
  if (name === "localhost" || name.endsWith(".localhost")) return { problem: OWN };
  return { name, network: null, port };
}

const OWN = "a build always reaches its own loopback, and it cannot be listed";

function networkOf(place: string, port: number | null): Host | { readonly problem: string } {
  const [address = "", prefixText = "32", ...more] = place.split("/");
  const parts = address.split(".");
  const prefix = Number(prefixText);
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255))
    return { problem: "expected an IPv4 address as `203.0.113.5`: four numbers from 0 to 255" };
  if (!/^\d{1,2}$/.test(prefixText) || prefix > 32 || more.length > 0)
    return { problem: "expected a network as `203.0.113.0/24`, with a number from 0 to 32" };
  const bits = parts.map((part) => Number(part).toString(2).padStart(8, "0")).join("");
  if (bits.slice(prefix).includes("1"))
    return { problem: "expected a network as `203.0.113.0/24`, with nothing set behind the prefix" };
  const first = Number(parts[0]);
  if (first === 127 && prefix >= 8) return { problem: OWN };
  if ((first === 0 && prefix >= 8) || (first >= 224 && prefix >= 3))
    return { problem: "expected the address of a host, found one that no host has" };
  return { name: null, network: prefix === 32 ? address : place, port };
}
