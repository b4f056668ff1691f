/** Where a forge shows what was built, for people to click on; pure. */
import { isBranchPush, type Push } from "../../protocol/work.ts";

export interface ForgeLinks {
  readonly commitUrl: string | null;
  /** What the push changed. */
  readonly compareUrl: string | null;
}

const NOWHERE: ForgeLinks = { commitUrl: null, compareUrl: null };
/** Forges by the names of their hosts, where the push does not say that it came from one. */
const FORGES = /(^|[.-])(github|gitlab|bitbucket|codeberg|gitea|forgejo)\./;

/** Only where the remote is a forge's, by the web: other servers have no such pages. */
export function forgeLinks(push: Push, commit: string | null): ForgeLinks {
  const url = URL.parse(push.remote.https);
  if (url === null || (url.protocol !== "https:" && url.protocol !== "http:") || commit === null) return NOWHERE;
  if (push.repositoryId === null && !FORGES.test(url.hostname)) return NOWHERE;
  const path = url.pathname.replace(/\/+$/, "").replace(/\.git$/, "");
  if (path.split("/").length < 3) return NOWHERE;
  // Without the name and password that a remote may have.
  const page = `${url.protocol}//${url.host}${path}`;
  const before = isBranchPush(push) && !push.created ? push.before : null;
  if (/(^|[.-])bitbucket\./.test(url.hostname)) return { commitUrl: `${page}/commits/${commit}`, compareUrl: null };
  const root = /(^|[.-])gitlab\./.test(url.hostname) ? `${page}/-` : page;
  return {
    commitUrl: `${root}/commit/${commit}`,
    compareUrl: before === null ? null : `${root}/compare/${before}...${commit}`,
  };
}
