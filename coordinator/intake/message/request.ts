import { z } from "zod";
import { didYouMean, listed } from "../../../protocol/pipeline/suggest.ts";
import { environmentProblem, variableProblem } from "../../../protocol/pipeline/text-rules.ts";
import { remote, repositoryName } from "../../../protocol/work.ts";
import { isRemote, isShortRef } from "./names.ts";
import type { Json } from "./unwrap.ts";
import { type IntakeRequest, type Refused, refused } from "./vocabulary.ts";
import { whatIsWrong } from "./wrong.ts";

const VALUE_CHARACTERS = 32 * 1024;
const PARAMS = 100;

const value = z
  .union(
    [z.string().max(VALUE_CHARACTERS), z.number(), z.boolean()],
    "neither a text (of 32 KiB at most) nor a number nor a boolean",
  )
  .transform(String);

/** Toroid's own request, as people write it. */
const ownRequest = z.object({
  toroid: z.literal(1),
  repository: repositoryName,
  ref: z.string().refine(isShortRef, "not the name of a ref").optional(),
  build: z.number().int().positive().optional(),
  environment: z.string().optional(),
  params: z.record(z.string(), value).default({}),
  key: z.string().min(1).max(200).optional(),
  remote: z
    .union([z.string(), remote], "neither a URL nor `{https, ssh}`")
    .transform((given) => (typeof given === "string" ? { https: given, ssh: null } : given))
    .refine((r) => isRemote(r.https) && (r.ssh === null || isRemote(r.ssh)), "not a URL")
    .optional(),
});
const FIELDS = Object.keys(ownRequest.shape);

/** Reads `{"toroid": 1, …}`. `build` names one that is there; `ref` asks for a new one. */
export function readRequest(
  payload: Json,
): { readonly kind: "request"; readonly key: string | null; readonly request: IntakeRequest } | Refused {
  if (payload["toroid"] !== 1) return refused("`toroid` of the request is not 1, the only version that this one reads");
  const stranger = Object.keys(payload).find((field) => !FIELDS.includes(field));
  if (stranger !== undefined) {
    const name = stranger.slice(0, 64);
    return refused(
      `\`${name}\` of the request is unknown: ${didYouMean(name, FIELDS) ?? `it may have ${listed(FIELDS)}`}`,
    );
  }
  const parsed = ownRequest.safeParse(payload);
  if (!parsed.success) return refused(whatIsWrong("request", parsed.error));
  const { repository, ref, build, environment, params, key = null } = parsed.data;
  const badName = nameProblem(parsed.data);
  if (badName !== null) return refused(badName);
  const common = { repository, params };
  if (ref !== undefined && build !== undefined)
    return refused("the request has both `ref` and `build`: one of them says what to run");
  if (ref !== undefined) {
    if (environment !== undefined)
      return refused(
        "`environment` of the request needs `build`: only a build that is there can be requested into one",
      );
    return { kind: "request", key, request: { what: "build", ...common, ref, remote: parsed.data.remote ?? null } };
  }
  if (build === undefined) return refused("the request has neither `ref` nor `build`");
  if (environment === undefined) return refused("`build` of the request needs `environment`: which one to run");
  return { kind: "request", key, request: { what: "environment", ...common, number: build, environment } };
}

function nameProblem({ environment, params }: z.infer<typeof ownRequest>): string | null {
  const names = Object.keys(params);
  if (names.length > PARAMS) return `\`params\` of the request has more than ${PARAMS} of them`;
  const param = names.map(variableProblem).find((problem) => problem !== null);
  if (param !== undefined) return `\`params\` of the request: ${param}`;
  const problem = environment === undefined ? null : environmentProblem(environment);
  return problem === null ? null : `\`environment\` of the request: ${problem}`;
}
