/** Puts what is in a dead letter the way again that it came; safe to repeat, since everything on that way is. */
import type { Logger } from "../../kit/log.ts";
import { assertNever, dispositionOf, sentenceOf, ToroidError } from "../../protocol/errors.ts";
import { formatBuild, formatStage } from "../../protocol/ids.ts";
import { accept } from "../accept.ts";
import type { Letter, ReplayOutcome } from "../actors/letter.ts";
import { readMessage } from "../intake/message.ts";
import type { Mailboxes } from "../mailboxes.ts";
import { messageOf } from "./content.ts";

/** Says no to what is asked, whatever is done about it here. */
const REFUSALS: ReadonlySet<string> = new Set([
  "TOR_ARCHIVED",
  "TOR_CONFLICT",
  "TOR_DECODE",
  "TOR_INVALID_INPUT",
  "TOR_NOT_FOUND",
  "TOR_REFUSED",
]);

/** @throws what may pass; then it is to be done again */
export async function replay(actors: Mailboxes, letter: Letter, log: Logger): Promise<ReplayOutcome> {
  try {
    return await again(actors, letter);
  } catch (error) {
    const isRefusal = error instanceof ToroidError && REFUSALS.has(error.code);
    if (!isRefusal && dispositionOf(error) === "retry") throw error;
    if (!isRefusal) log.error({ err: error, letter: letter.id }, "a dead letter could not be replayed");
    return { kind: "refused", why: sentenceOf(error) };
  }
}

async function again(actors: Mailboxes, { id, content, replays, history }: Letter): Promise<ReplayOutcome> {
  switch (content.kind) {
    case "push": {
      const read = readMessage(messageOf(content));
      if (read.kind === "refused") return { kind: "refused", why: read.reason };
      if (read.kind === "ignored")
        return { kind: "replayed", became: { build: null, what: `nothing was to be done: ${read.reason}` } };
      const { repository, number, fresh } = await accept(actors, read, "queue");
      const build = { repository, number };
      const what = fresh ? `it became ${formatBuild(build)}` : `it had become ${formatBuild(build)} before`;
      return { kind: "replayed", became: { build, what } };
    }
    case "stage": {
      const { repository, number, stage, round } = content;
      const build = { repository, number };
      const asked = history.findLast(({ what }) => what === "replay");
      const [by, why] = [asked?.by ?? "toroid", asked?.why ?? ""];
      await actors.build.tell(build, { kind: "retry", key: `letter-${id}-${replays}`, stage, by, why });
      return { kind: "replayed", became: { build, what: `${formatStage({ ...build, stage, round })} is tried again` } };
    }
    default:
      return assertNever(content, "letter");
  }
}
