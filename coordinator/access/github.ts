/**
 * People sign in at GitHub: the authorization code flow with PKCE, and then the three questions that roles need an
 * answer to. GitHub's token is used for these and forgotten.
 */
import * as oauth from "oauth4webapi";
import { z } from "zod";
import type { Account } from "../../protocol/access.ts";
import { ToroidError } from "../../protocol/errors.ts";

const ANSWER_MS = 10_000;
const PAGE = 100;
const MOST_PAGES = 10;
/** Who is in which organization and team: no access to code. */
const SCOPE = "read:org";

const user = z.looseObject({ login: z.string().min(1).max(100) });
const organizations = z.array(z.looseObject({ login: z.string() }));
const teams = z.array(z.looseObject({ slug: z.string(), organization: z.looseObject({ login: z.string() }) }));

export interface GithubConfig {
  /** `https://github.com`, or that of a GitHub Enterprise Server. */
  readonly url: string;
  readonly apiUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
}

/** What has to be remembered between going to GitHub and coming back. */
export interface Journey {
  readonly state: string;
  readonly verifier: string;
}

export class GithubSignIn {
  readonly #config: GithubConfig;
  readonly #server: oauth.AuthorizationServer;
  readonly #client: oauth.Client;
  /** Only a server of tests is spoken to without TLS. */
  readonly #insecure: boolean;

  constructor(config: GithubConfig) {
    this.#config = config;
    this.#insecure = config.url.startsWith("http:");
    this.#client = { client_id: config.clientId };
    this.#server = {
      issuer: config.url,
      authorization_endpoint: `${config.url}/login/oauth/authorize`,
      token_endpoint: `${config.url}/login/oauth/access_token`,
    };
  }

  async leave(redirectUri: string): Promise<{ readonly url: string; readonly journey: Journey }> {
    const journey = { state: oauth.generateRandomState(), verifier: oauth.generateRandomCodeVerifier() };
    const url = new URL(`${this.#config.url}/login/oauth/authorize`);
    url.search = new URLSearchParams({
      client_id: this.#config.clientId,
      redirect_uri: redirectUri,
      response_type: "code",
      scope: SCOPE,
      state: journey.state,
      code_challenge: await oauth.calculatePKCECodeChallenge(journey.verifier),
      code_challenge_method: "S256",
    }).toString();
    return { url: url.href, journey };
  }

  /**
   * Who came back with `answer`, the query of the address that GitHub sent them to.
   *
   * @throws {ToroidError} TOR_NOT_ALLOWED when it is not the answer to `journey`, or GitHub or the person said no;
   * TOR_GITHUB_UNREACHABLE
   */
  async arrive(answer: URLSearchParams, redirectUri: string, journey: Journey): Promise<Account> {
    const http = { [oauth.allowInsecureRequests]: this.#insecure, signal: AbortSignal.timeout(ANSWER_MS) };
    try {
      const checked = oauth.validateAuthResponse(this.#server, this.#client, answer, journey.state);
      const secret = oauth.ClientSecretPost(this.#config.clientSecret);
      const { verifier } = journey;
      const response = await oauth.authorizationCodeGrantRequest(
        this.#server,
        this.#client,
        secret,
        checked,
        redirectUri,
        verifier,
        http,
      );
      const given = await oauth.processAuthorizationCodeResponse(this.#server, this.#client, response);
      return await this.#accountOf(given.access_token);
    } catch (cause) {
      throw asOurs(cause);
    }
  }

  async #accountOf(token: string): Promise<Account> {
    const { login } = await this.#ask("/user", token, user);
    const [ofOrganizations, ofTeams] = await Promise.all([
      this.#all("/user/orgs", token, organizations),
      this.#all("/user/teams", token, teams),
    ]);
    return {
      login,
      organizations: ofOrganizations.map((one) => one.login),
      teams: ofTeams.map((one) => `${one.organization.login}/${one.slug}`),
    };
  }

  async #all<T>(path: string, token: string, schema: z.ZodType<T[]>): Promise<readonly T[]> {
    const found: T[] = [];
    for (let page = 1; page <= MOST_PAGES; page += 1) {
      const some = await this.#ask(`${path}?per_page=${PAGE}&page=${page}`, token, schema);
      found.push(...some);
      if (some.length < PAGE) break;
    }
    return found;
  }

  async #ask<T>(path: string, token: string, schema: z.ZodType<T>): Promise<T> {
    const response = await fetch(`${this.#config.apiUrl}${path}`, {
      headers: { accept: "application/vnd.github+json", authorization: `Bearer ${token}`, "user-agent": "toroid" },
      signal: AbortSignal.timeout(ANSWER_MS),
      redirect: "error",
    });
    if (!response.ok) throw new Error(`GitHub answers ${path.split("?")[0] ?? ""} with ${response.status}`);
    return schema.parse(await response.json());
  }
}

function asOurs(cause: unknown): ToroidError {
  const isNo = cause instanceof oauth.AuthorizationResponseError || cause instanceof oauth.ResponseBodyError;
  if (isNo || (cause instanceof oauth.OperationProcessingError && cause.code === oauth.INVALID_RESPONSE)) {
    return new ToroidError(
      "TOR_NOT_ALLOWED",
      "GitHub did not let you in, or this is an old answer of it",
      {},
      { cause },
    );
  }
  const why = "GitHub could not be asked who you are: try again";
  return new ToroidError("TOR_GITHUB_UNREACHABLE", why, {}, { cause });
}
