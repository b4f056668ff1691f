import { z } from "zod";
import { type LetterSummary, letterList, letterSummary } from "../../protocol/letter.ts";
import { EXIT, usageError } from "../exit.ts";
import { countOf } from "../text/arguments.ts";
import { letterReport, letterTable } from "../text/letters.ts";
import { type Context, verb } from "../verb.ts";

/** The server's own limit of one page. */
const PAGE = 100;

export const deadLettersLs = verb({
  usage: "dead-letters ls",
  summary: "what intake refused and what no executor could take, newest first, each with why",
  examples: ["toroid dead-letters ls", "toroid dead-letters ls --all --limit 20"],
  flags: [
    { flags: "--all", about: "those too that were replayed or discarded" },
    { flags: "--limit <count>", about: "how many at most (default 100)" },
  ],
  options: z.object({ all: z.boolean().default(false), limit: z.string().optional() }),
  async run({ api, json, out, err }, _args, { all, limit }) {
    const most = limit === undefined ? PAGE : countOf("--limit", limit);
    const server = api();
    const letters: LetterSummary[] = [];
    for (let next: string | null = ""; next !== null && letters.length < most; ) {
      const query = new URLSearchParams({ state: all ? "all" : "waiting", limit: String(PAGE) });
      if (next !== "") query.set("before", next);
      const page: z.infer<typeof letterList> = await server.get(`api/v1/dead-letters?${query.toString()}`, letterList);
      letters.push(...page.letters);
      next = page.next;
    }
    const shown = letters.slice(0, most);
    if (json) await out(`${JSON.stringify({ letters: shown })}\n`);
    else if (shown.length > 0) await out(letterTable(shown, Date.now()));
    else err(all ? "there is no dead letter" : "no dead letter waits for anybody");
    return EXIT.ok;
  },
});

export const deadLettersShow = verb({
  usage: "dead-letters show <id>",
  summary: "one of them: why it is there, who did what about it, and all that is in it",
  examples: ["toroid dead-letters show 4f1c09be77a2d310"],
  flags: [],
  options: z.object({}),
  async run({ api, json, out }, [id]) {
    const letter = await api().get(pathOf(id), letterSummary);
    await out(json ? `${JSON.stringify(letter)}\n` : letterReport(letter));
    return EXIT.ok;
  },
});

export const deadLettersReplay = verb({
  usage: "dead-letters replay <id>",
  summary: "put the very same message through intake again, or try the stage again; once, however often it is asked",
  examples: ['toroid dead-letters replay 4f1c09be77a2d310 --reason "its remote is known by now"'],
  flags: [{ flags: "--reason <text>", about: "why, for the record" }],
  options: z.object({ reason: z.string().optional() }),
  async run(context, [id], body) {
    const letter = await context.api().post(`${pathOf(id)}/replay`, body, letterSummary);
    await tell(context, letter);
    if (letter.state === "open") return EXIT.failed;
    return EXIT.ok;
  },
});

export const deadLettersDiscard = verb({
  usage: "dead-letters discard <id>",
  summary: "say that nothing is to come of it",
  examples: ['toroid dead-letters discard 4f1c09be77a2d310 --reason "a test of the sender"'],
  flags: [{ flags: "--reason <text>", about: "why; it is kept (required)" }],
  options: z.object({ reason: z.string({ error: "--reason is missing: say why nothing is to come of it" }) }),
  async run(context, [id], body) {
    await tell(context, await context.api().post(`${pathOf(id)}/discard`, body, letterSummary));
    return EXIT.ok;
  },
});

async function tell({ json, out }: Context, letter: LetterSummary): Promise<void> {
  const last = letter.history.at(-1);
  await out(json ? `${JSON.stringify(letter)}\n` : `${letter.id} ${last?.what ?? letter.state}: ${last?.why ?? ""}\n`);
}

function pathOf(id: string | undefined): string {
  if (id === undefined || !/^[0-9a-f]{16}$/.test(id))
    throw usageError(`${JSON.stringify(id ?? "")} is no dead letter: \`toroid dead-letters ls\` lists their ids`);
  return `api/v1/dead-letters/${id}`;
}
