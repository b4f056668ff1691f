import assert from "node:assert/strict";
import { test } from "node:test";
import { forgeLinks } from "../../../../coordinator/projections/forge.ts";
import type { Push } from "../../../../protocol/work.ts";

const COMMIT = "199eddf46df50de8d02e99bf1c5fdb4101338224";
const BEFORE = "a10867b14bb761a232cd80139fbd4c0d33264240";

function links(https: string, changes: Partial<Push> = {}): readonly (string | null)[] {
  const push: Push = {
    repository: "acme/api",
    repositoryId: null,
    remote: { https, ssh: null },
    ref: "refs/heads/main",
    before: BEFORE,
    commit: COMMIT,
    created: false,
    forced: false,
    defaultBranch: null,
    message: "",
    author: "",
    deliveryId: null,
    people: [],
    params: {},
    ...changes,
  };
  const { commitUrl, compareUrl } = forgeLinks(push, push.commit);
  return [commitUrl, compareUrl];
}

test("a commit and its changes have a page where its forge is known", () => {
  const github = "https://github.com/acme/api";
  const both = [`${github}/commit/${COMMIT}`, `${github}/compare/${BEFORE}...${COMMIT}`];
  assert.deepEqual(links(`${github}.git`), both);
  assert.deepEqual(links("https://gitlab.example.com/group/sub/api.git"), [
    `https://gitlab.example.com/group/sub/api/-/commit/${COMMIT}`,
    `https://gitlab.example.com/group/sub/api/-/compare/${BEFORE}...${COMMIT}`,
  ]);
  assert.deepEqual(links("https://bitbucket.org/acme/api"), [`https://bitbucket.org/acme/api/commits/${COMMIT}`, null]);
  assert.deepEqual(
    links("https://git.example.com/acme/api.git", { repositoryId: 7 })[0],
    `https://git.example.com/acme/api/commit/${COMMIT}`,
    "a push in GitHub's shape came from a forge",
  );
  assert.deepEqual(links(`${github}.git`, { created: true }), [both[0], null]);
  assert.deepEqual(links(`${github}.git`, { ref: "refs/tags/v1" }), [both[0], null]);
});

test("no page has a password in its address, runs anything, or is made up", () => {
  assert.deepEqual(links("https://me:secret@github.com/acme/api.git", { before: null }), [
    `https://github.com/acme/api/commit/${COMMIT}`,
    null,
  ]);
  const none = [
    "javascript:alert(1)//github.com/a/b",
    "file:///srv/github.com/api",
    "/srv/api",
    "https://github.com/x",
  ];
  for (const remote of [...none, "https://git.example.com/me/project.git"]) {
    assert.deepEqual(links(remote), [null, null], remote);
  }
  assert.deepEqual(links("https://github.com/acme/api", { commit: null }), [null, null]);
});
