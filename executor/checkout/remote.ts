/** Which address to fetch from, and whether this executor may. Pure. */
import { isAbsolute } from "node:path";
import { ToroidError } from "../../protocol/errors.ts";
import type { Remote } from "../../protocol/work.ts";
import type { GitConfig } from "../config.ts";

/** An address that git may be given, and the one protocol it may use for it. */
export interface Address {
  readonly url: string;
  readonly protocol: "https" | "http" | "ssh" | "file";
  /** For people: without user, password or query. */
  readonly shown: string;
}

const SCP_LIKE = /^(?:[A-Za-z0-9_.-]+@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?!\/\/)([^\s]+)$/;

/**
 * @throws {ToroidError} TOR_INVALID_INPUT for an address that is none, or one that this executor does not fetch from.
 */
export function addressOf(remote: Remote, git: Pick<GitConfig, "remote" | "allowLocal">): Address {
  const local = localPath(remote.https);
  if (local !== null) {
    if (!git.allowLocal) {
      throw new ToroidError(
        "TOR_INVALID_INPUT",
        `this executor does not fetch from local paths such as ${remote.https}; set TOROID_ALLOW_LOCAL_REMOTES=1 on it to allow that`,
        { url: remote.https },
      );
    }
    return { url: local, protocol: "file", shown: local };
  }
  const url = git.remote === "ssh" && remote.ssh !== null ? remote.ssh : remote.https;
  return networkAddress(url);
}

function networkAddress(url: string): Address {
  if (url.startsWith("-") || /[\s\p{Cc}]/u.test(url)) throw refused(url);
  const scp = SCP_LIKE.exec(url);
  if (scp?.[1] !== undefined && !url.includes("://")) {
    // A host or path that begins with a dash would be an option of ssh or of the far side.
    if (scp[1].startsWith("-") || scp[2]?.startsWith("-") === true) throw refused(url);
    return { url, protocol: "ssh", shown: `${scp[1]}:${scp[2]}` };
  }
  const parsed = URL.canParse(url) ? new URL(url) : null;
  const protocol = parsed?.protocol.slice(0, -1);
  if (parsed === null || parsed.hostname === "" || parsed.hostname.startsWith("-")) throw refused(url);
  if (parsed.username.startsWith("-")) throw refused(url);
  if (protocol !== "https" && protocol !== "http" && protocol !== "ssh") throw refused(url);
  return { url, protocol, shown: `${protocol}://${parsed.host}${parsed.pathname}` };
}

/** The path that a `file://` URL or an absolute path names; null for anything else. */
function localPath(url: string): string | null {
  if (isAbsolute(url)) return url;
  if (!url.startsWith("file://")) return null;
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || parsed.host !== "") throw refused(url);
  const path = decodeURIComponent(parsed.pathname);
  if (!isAbsolute(path) || path.includes("\0")) throw refused(url);
  return path;
}

function refused(url: string): ToroidError {
  // Not repeated whole: it may hold a password.
  const shown = url.replace(/\/\/[^/@]*@/, "//…@").slice(0, 200);
  return new ToroidError("TOR_INVALID_INPUT", `${JSON.stringify(shown)} is not an address that Toroid fetches from`);
}

/** @throws {ToroidError} TOR_INVALID_INPUT for a ref that git would refuse or take for an option. */
export function checkRef(ref: string): string {
  const wrong =
    ref === "" ||
    ref.length > 1_000 ||
    ref.startsWith("-") ||
    ref.startsWith("/") ||
    ref.endsWith("/") ||
    ref.endsWith(".") ||
    ref === "@" ||
    /[\s\p{Cc}~^:?*[\\]|\.\.|\/\/|@\{/u.test(ref) ||
    ref.split("/").some((part) => part.startsWith(".") || part.endsWith(".lock"));
  if (wrong) throw new ToroidError("TOR_INVALID_INPUT", `${JSON.stringify(ref.slice(0, 200))} is not a ref of git`);
  return ref;
}
