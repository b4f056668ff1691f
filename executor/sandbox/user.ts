/** Who an executor is once it has what needs root: found out as root, become for good. */
import { readdirSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { ToroidError } from "../../protocol/errors.ts";

export interface ServiceUser {
  readonly uid: number;
  readonly gid: number;
  /** The account; null for a uid that has none. */
  readonly account: { readonly name: string; readonly home: string } | null;
}

/** Taken when nobody was named and it exists. */
const USUAL = "toroid";
/** Else the first of these that no account has: neither Debian nor systemd gives them away. */
const [OWN_FIRST, OWN_LAST] = [65_520, 65_533] as const;
/** From here up are the uids of builds. */
const BUILDS_FROM = 1_879_048_192;

/**
 * Looks a user up. As root.
 *
 * @param wanted a name or a uid; null: nobody was named
 * @throws {ToroidError} TOR_CONFIG_INVALID
 */
export function userFor(wanted: string | null): ServiceUser {
  if (wanted === null) return find(USUAL) ?? ownUser();
  const user = /^\d+$/.test(wanted) ? byUid(Number(wanted)) : find(wanted);
  if (user === null) throw wrong(`there is no user ${JSON.stringify(wanted)}`);
  if (user.uid === 0) throw wrong("an executor does not stay root");
  if (user.uid >= BUILDS_FROM) throw wrong(`uids from ${BUILDS_FROM} up are those of builds`);
  return user;
}

function wrong(why: string): ToroidError {
  return new ToroidError("TOR_CONFIG_INVALID", `TOROID_USER must be a user who is not root: ${why}`);
}

function ownUser(): ServiceUser {
  for (let uid = OWN_FIRST; uid <= OWN_LAST; uid += 1) {
    const user = byUid(uid);
    if (user.account === null) return user;
  }
  throw wrong(`accounts have all of the uids ${OWN_FIRST} to ${OWN_LAST}, so name one`);
}

function byUid(uid: number): ServiceUser {
  return find(uid) ?? { uid, gid: uid, account: null };
}

/** By becoming it for a moment: so every source of accounts that the system knows is asked, and no file of ours read. */
function find(user: string | number): ServiceUser | null {
  try {
    process.seteuid?.(user);
    const { uid, gid, username, homedir } = userInfo();
    return { uid, gid, account: { name: username, home: homedir } };
  } catch (error) {
    if (isUnknown(error)) return null;
    throw error;
  } finally {
    process.seteuid?.(0);
  }
}

function isUnknown(error: unknown): boolean {
  if (!(error instanceof Error) || !("code" in error)) return false;
  return error.code === "ERR_UNKNOWN_CREDENTIAL" || error.code === "ERR_SYSTEM_ERROR";
}

/**
 * Becomes `user` for good, with nothing that was root's: its groups, its home, no way back. Modules that are needed
 * later have to be loaded by now, for where they lie may be root's alone.
 *
 * @throws {ToroidError} TOR_INTERNAL when root could be got back
 */
export function become(user: ServiceUser, home: string): void {
  process.chdir("/");
  if (user.account === null) process.setgroups?.([]);
  else initGroups(user.account.name, user.gid);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
  process.env["HOME"] = user.account?.home ?? home;
  const left = whatIsLeft(user);
  if (left !== null) throw new ToroidError("TOR_INTERNAL", `root was not given up: ${left}`);
}

/** Node has it, its types have not. */
function initGroups(name: string, gid: number): void {
  const initgroups: unknown = Reflect.get(process, "initgroups");
  if (typeof initgroups !== "function") throw new ToroidError("TOR_INTERNAL", "this node has no process.initgroups");
  initgroups.call(process, name, gid);
}

/** What of root this process still has, by trying and by what the kernel says of each thread; null: nothing. */
function whatIsLeft(user: ServiceUser): string | null {
  const tries = {
    setuid: () => process.setuid?.(0),
    seteuid: () => process.seteuid?.(0),
    setgid: () => process.setgid?.(0),
    setgroups: () => process.setgroups?.([0]),
  };
  for (const [name, attempt] of Object.entries(tries)) if (succeeds(attempt)) return `${name} to 0 succeeds`;
  const wanted = { Uid: user.uid, Gid: user.gid };
  for (const thread of readdirSync("/proc/self/task")) {
    const status = readFileSync(`/proc/self/task/${thread}/status`, "utf8");
    for (const [name, id] of Object.entries(wanted)) {
      const ids = new RegExp(`^${name}:\\s+(.*)$`, "m").exec(status)?.[1]?.split("\t") ?? [];
      if (ids.length !== 4 || ids.some((one) => Number(one) !== id)) return `a thread has ${name} ${ids.join(" ")}`;
    }
    for (const name of ["CapPrm", "CapEff", "CapAmb"]) {
      if (!new RegExp(`^${name}:\\s+0+$`, "m").test(status)) return `a thread has something in ${name}`;
    }
  }
  return null;
}

function succeeds(attempt: () => void): boolean {
  try {
    attempt();
    return true;
  } catch {
    return false;
  }
}
