/** Signing in, as a person does it, with what a real browser sends. GitHub is `test/support/github-oauth.ts`. */
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import { type Api, startApi } from "../integration/coordinator/api-rig.ts";
import { Browser, type Tab } from "../support/browser.ts";
import { GithubOauth } from "../support/github-oauth.ts";
import { missing, needs } from "../support/skips.ts";
import { toroid } from "../unit/bin/toroid.ts";

const LIMIT = { timeout: 90_000 };
const NEEDED = { program: "chromium" } as const;

let github: GithubOauth;
let api: Api;
let browser: Browser;

before(async () => {
  if (missing(NEEDED) !== undefined) return;
  github = await GithubOauth.start();
  api = await startApi({ ...github.variables, TOROID_ROLES: "acme/dev operate" });
  browser = await Browser.start();
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await api?.[Symbol.asyncDispose]();
  await github?.[Symbol.asyncDispose]();
});

async function open(t: TestContext, path: string): Promise<Tab> {
  const tab = await browser.open(api.url + path);
  t.after(() => tab[Symbol.asyncDispose]());
  return tab;
}

/** Complaints of the page itself: that it is refused before it is signed in, and goes to GitHub, is meant. */
function complaintsOf({ complaints }: Tab): readonly string[] {
  return complaints.filter((one) => !/Failed to load resource|^request: http:\/\/127\.0\.0\.1/.test(one));
}

test("by a token one gets to where one was going, and to no other host; signing out ends it", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  const create = ["token", "create", "ops", "--scope", "admin", "--direct"];
  const { out } = await toroid(create, { env: { TOROID_NATS_URL: api.server.url } });
  const tab = await open(t, `/sign-in?to=${encodeURIComponent("/\t/evil.example/")}`);
  const { page } = tab;
  await page.getByLabel("Token").fill("trd_mistyped");
  await page.getByRole("button", { name: "Sign in with a token" }).click();
  await page.getByText("this token is not valid").waitFor();
  await page.getByLabel("Token").fill(out.trim());
  await page.getByRole("button", { name: "Sign in with a token" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  assert.equal(page.url(), `${api.url}/`);
  const [cookie] = await page.context().cookies();
  assert.deepEqual([cookie?.name, cookie?.httpOnly, cookie?.sameSite], ["toroid", true, "Lax"]);
  assert.equal(await page.evaluate(() => document.cookie), "");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByLabel("Token").waitFor();
  assert.deepEqual(await page.context().cookies(), []);
  assert.deepEqual(complaintsOf(tab), []);
});

test("by GitHub one gets back to the page that one was at, by one's name there", LIMIT, async (t) => {
  if (!needs(t, NEEDED)) return;
  github.person = { login: "eve", organizations: [], teams: [] };
  const tab = await open(t, "/executors");
  const { page } = tab;
  const link = page.getByRole("link", { name: "Sign in with GitHub" });
  await link.click();
  await page.getByText("nobody has given you a role here").waitFor();
  github.person = { login: "Ada", organizations: ["acme"], teams: ["acme/dev"] };
  await page.goto(`${api.url}/executors`);
  await link.click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
  assert.equal(page.url(), `${api.url}/executors`);
  await page.getByText("Ada", { exact: true }).waitFor();
  assert.deepEqual(complaintsOf(tab), []);
});
