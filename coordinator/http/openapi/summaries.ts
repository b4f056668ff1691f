/** What each route is for, in a few words, for the description of the API. A test sees that none is missing. */

export interface About {
  readonly tag: string;
  readonly summary: string;
}

const TABLE = `
Builds | GET /api/v1/repositories | repositories, how many builds each has, and its environments
Builds | GET /api/v1/builds | builds, newest first, by repository, branch, state and author
Builds | POST /api/v1/builds | build a ref
Builds | GET /api/v1/builds/:owner/:repo/:number | one build with its stages
Builds | GET /api/v1/builds/:owner/:repo/:number/config | what a build ran with: its commit, and the plan made of its file
Builds | POST /api/v1/builds/:owner/:repo/:number/cancel | drop what waits of a build, stop what runs
Builds | POST /api/v1/builds/:owner/:repo/:number/retry | try again all of a build that ended badly
Builds | POST /api/v1/builds/:owner/:repo/:number/environments/:environment | run a build's stage of an environment once more
Stages | GET /api/v1/builds/:owner/:repo/:number/stages/:stage/attempts | each attempt at a stage: its executor, times, end
Stages | GET /api/v1/builds/:owner/:repo/:number/stages/:stage/log | what a stage wrote: bytes, or events while it grows
Stages | POST /api/v1/builds/:owner/:repo/:number/stages/:stage/retry | try one stage again
Environments | POST /api/v1/environments/:owner/:repo/:environment/pause | hold an environment, or several by \`*\`
Environments | POST /api/v1/environments/:owner/:repo/:environment/resume | end a pause
Environments | POST /api/v1/environments/:owner/:repo/:environment/approvals | approve or reject what waits for it
Environments | POST /api/v1/environments/:owner/:repo/:environment/promote | put a build into an environment as it was built
Environments | POST /api/v1/environments/:owner/:repo/:environment/rollback | put back what was live before
Environments | POST /api/v1/environments/:owner/:repo/:environment/release | after a rollback, let newer builds go again
Artifacts | GET /api/v1/amis | AMIs as EC2 has them: of which build, live in what, and which are to go
Artifacts | POST /api/v1/amis/gc | remove AMIs that nothing needs, and what interrupted bakes left
Operation | GET /api/v1/executors | executors that are there, and what each has to do
Operation | POST /api/v1/executors/:executor/drain | have executors take nothing new
Operation | POST /api/v1/executors/:executor/undrain | have executors take work again
Operation | GET /api/v1/dead-letters | what intake refused and what no executor could take
Operation | GET /api/v1/dead-letters/:id | one dead letter with all that is in it
Operation | POST /api/v1/dead-letters/:id/replay | put a dead letter through intake again, once
Operation | POST /api/v1/dead-letters/:id/discard | say that nothing is to come of a dead letter
Operation | GET /api/v1/settings | what is configured, and nothing that is secret
Operation | GET /api/v1/audit | who asked for which change, from where and why
Operation | GET /healthz | the process lives
Operation | GET /readyz | it reaches the store
Others | GET /metrics | how the system does, in the words of Prometheus
Others | GET /cc.xml | how every repository does, for trays and walls
Others | GET /badge/:owner/:repo/* | a picture of how a branch does, or of what is live in an environment
Events | GET /api/v1/events | changes as they happen, as server-sent events
Notifications | GET /api/v1/deliveries | what was told to whom, and what became of it
Notifications | GET /api/v1/deliveries/:id | one delivery with its attempts
Notifications | POST /api/v1/deliveries/:id/retry | deliver once more
Notifications | GET /api/v1/targets | where notifications go
Notifications | POST /api/v1/targets/:target/test | send a notification that says it is a trial
Access | GET /api/v1/me | who asks, and how one can sign in
Access | GET /api/v1/tokens | tokens, without their secrets
Access | POST /api/v1/tokens | make a token; its secret is told once
Access | DELETE /api/v1/tokens/:token | end a token
Access | GET /auth/github | begin to sign in at GitHub
Access | GET /auth/github/callback | where GitHub sends people back to
Access | POST /auth/token | sign in by a token
Access | POST /auth/sign-out | end a session
Description | GET /api/openapi.json | this description
`;

const KNOWN: ReadonlyMap<string, About> = new Map(
  TABLE.trim()
    .split("\n")
    .map((line) => {
      const [tag = "", route = "", summary = ""] = line.split(" | ");
      return [route, { tag, summary }];
    }),
);

/** Null for one that nobody has described. */
export function aboutOf(method: string, url: string): About | null {
  return KNOWN.get(`${method} ${url}`) ?? null;
}

export function describedRoutes(): readonly string[] {
  return [...KNOWN.keys()];
}
