/** The hosts that a stage lists, looked up before it begins: it runs with these addresses and asks no resolver itself. */
import { Resolver } from "node:dns/promises";
import { sentenceOf, ToroidError } from "../protocol/errors.ts";
import { readHost } from "../protocol/pipeline/hosts.ts";

/** All IPv4 addresses of a name. */
export type Lookup = (name: string, signal: AbortSignal) => Promise<readonly string[]>;

const TRY_MS = 2_000;
const TRIES = 2;
/** What a resolver says of a name that is not there, or has nothing but IPv6. */
const NO_ADDRESS: ReadonlySet<unknown> = new Set(["ENOTFOUND", "ENODATA", "EBADNAME"]);

/** @param servers addresses of resolvers, with ports or without; none: those of this host */
export function lookupAt(servers: readonly string[]): Lookup {
  return async (name, signal) => {
    const resolver = new Resolver({ timeout: TRY_MS, tries: TRIES });
    if (servers.length > 0) resolver.setServers(servers);
    const cancel = (): void => resolver.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    try {
      signal.throwIfAborted();
      return await resolver.resolve4(name);
    } catch (error) {
      signal.throwIfAborted();
      throw failureOf(name, error);
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  };
}

/**
 * What the helper's `--allow-host` takes, one for each of `hosts`: `example.com=203.0.113.5:443,203.0.113.6:443`.
 *
 * @param hosts as a plan has them
 * @param network what a build of the slot gets that wants one: the host's holds it to nothing
 * @throws {ToroidError} TOR_NETWORK_MISSING, TOR_HOST_UNKNOWN, TOR_DNS_UNREACHABLE
 */
export async function placesOf(
  hosts: readonly string[],
  network: "full" | "host",
  lookup: Lookup,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (hosts.length > 0 && network === "host") {
    const message =
      "`network` lists hosts, and nothing here can hold a build to them: it would share the host's network";
    throw new ToroidError("TOR_NETWORK_MISSING", message);
  }
  const known = new Map<string, Promise<readonly string[]>>();
  const addressesOf = (name: string): Promise<readonly string[]> => {
    const asked = known.get(name) ?? lookup(name, signal);
    known.set(name, asked);
    return asked;
  };
  return Promise.all(
    hosts.map(async (text) => {
      const host = readHost(text);
      if ("problem" in host) throw new ToroidError("TOR_DECODE", `a plan lists the host ${text}: ${host.problem}`);
      if (host.name === null) return text;
      const port = host.port === null ? "" : `:${host.port}`;
      const addresses = await addressesOf(host.name);
      return `${host.name}=${addresses.map((address) => `${address}${port}`).join(",")}`;
    }),
  );
}

function failureOf(name: string, cause: unknown): ToroidError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (NO_ADDRESS.has(code)) {
    const message = `\`network\` lists ${name}, and no IPv4 address is known for it`;
    return new ToroidError("TOR_HOST_UNKNOWN", message, { name }, { cause });
  }
  const message = `\`network\` lists ${name}, and the executor's resolver does not answer for it: ${sentenceOf(cause)}`;
  return new ToroidError("TOR_DNS_UNREACHABLE", message, { name }, { cause });
}
