/**
 * What a lane asks before it lets a build go whose artifact is an AMI. While EC2 does not answer, the build waits, and
 * says why; it is asked again less and less often.
 */
import type { Logger } from "../../kit/log.ts";
import type { AmiArtifact } from "../../protocol/work.ts";
import type { Ec2Clients } from "./clients.ts";
import { type Verdict, verifyAmis } from "./verify.ts";

export interface Gate {
  /** Never rejects. Within a while of an answer that was none, it gives that one again. */
  verify(artifact: AmiArtifact): Promise<Verdict>;
}

const FIRST_MS = 2_000;
const LAST_MS = 60_000;

interface Doubt {
  readonly verdict: Verdict;
  readonly waitMs: number;
  readonly untilMs: number;
}

export function makeGate(clients: Ec2Clients, log: Logger, nowMs: () => number = () => performance.now()): Gate {
  const doubts = new Map<string, Doubt>();
  /** The same is asked once at a time. */
  const asked = new Map<string, Promise<Verdict>>();

  async function ask(name: string, { amis }: AmiArtifact): Promise<Verdict> {
    const verdict = await verifyAmis(clients, amis);
    if (verdict.kind !== "unsure") {
      doubts.delete(name);
      return verdict;
    }
    const waitMs = Math.min(LAST_MS, (doubts.get(name)?.waitMs ?? FIRST_MS / 2) * 2);
    doubts.set(name, { verdict, waitMs, untilMs: nowMs() + waitMs });
    log.warn({ why: verdict.why, againMs: waitMs }, "an AMI could not be looked for; tried again");
    return verdict;
  }

  return {
    async verify(artifact) {
      const name = JSON.stringify(artifact.amis);
      const doubt = doubts.get(name);
      if (doubt !== undefined && doubt.untilMs > nowMs()) return doubt.verdict;
      const under = asked.get(name);
      if (under !== undefined) return under;
      const answer = ask(name, artifact).finally(() => asked.delete(name));
      asked.set(name, answer);
      return answer;
    },
  };
}
