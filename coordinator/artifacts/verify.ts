/**
 * Is an AMI there, and available, in each of its regions? Asked before it goes into an environment: what was removed or
 * never became available is said at once, and not by a deployment that is half done.
 */

import type { Ec2Clients } from "./clients.ts";
import { isMissing, reasonOf } from "./errors.ts";

export type Verdict =
  | { readonly kind: "available" }
  /** It cannot be used, now and later. `why` names AMI and region. */
  | { readonly kind: "gone"; readonly why: string }
  /** EC2 could not be asked, which says nothing of the AMI. */
  | { readonly kind: "unsure"; readonly why: string };

/** What is worse is said first. */
const ORDER = ["gone", "unsure", "available"] as const;
/** For all attempts at asking one region. */
const ANSWER_MS = 15_000;

/** @param amis ids by region */
export async function verifyAmis(clients: Ec2Clients, amis: Readonly<Record<string, string>>): Promise<Verdict> {
  const verdicts = await Promise.all(Object.entries(amis).map(([region, id]) => verify(clients, region, id)));
  const [worst] = verdicts.toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
  return worst ?? { kind: "available" };
}

async function verify(clients: Ec2Clients, region: string, id: string): Promise<Verdict> {
  try {
    const client = await clients.in(region);
    const { Images = [] } = await client.describeImages(
      { ImageIds: [id] },
      { abortSignal: AbortSignal.timeout(ANSWER_MS) },
    );
    const state = Images[0]?.State;
    if (state === "available") return { kind: "available" };
    if (Images[0] === undefined) return missing(region, id);
    return { kind: "gone", why: `${id} in ${region} is ${state ?? "in no state that is known"} and not available` };
  } catch (error) {
    if (isMissing(error)) return missing(region, id);
    return { kind: "unsure", why: `EC2 in ${region} could not be asked for ${id}: ${reasonOf(error)}` };
  }
}

function missing(region: string, id: string): Verdict {
  return { kind: "gone", why: `${id} is not there in ${region}: it was removed, or belongs to somebody else` };
}
