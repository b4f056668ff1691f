/** Slack's incoming webhooks. Foreign text is escaped, so that it can neither make links nor call people. */
import type { Notice } from "../../../protocol/notice.ts";
import type { Target } from "../settings.ts";
import { cut, facts, headline, moodOf, pageOf } from "../words.ts";
import type { Send } from "./channel.ts";
import { meaningOf, request } from "./http.ts";

const SIGNS = { good: ":white_check_mark:", bad: ":x:", neutral: ":information_source:" } as const;
/** Slack takes 3,000 of a section. */
const FACT_CHARACTERS = 500;

export function slackChannel(target: Extract<Target, { channel: "slack" }>, publicUrl: string | null): Send {
  return async ({ notice }, _lane, signal) => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify(messageOf(notice, publicUrl));
    return meaningOf(await request(target.url, { headers, body }, signal), Date.now());
  };
}

export function messageOf(notice: Notice, publicUrl: string | null): object {
  const head = escape(headline(notice));
  const page = pageOf(notice, publicUrl);
  const title = page === null ? `*${head}*` : `*<${page}|${head.replaceAll("|", "¦")}>*`;
  const lines = facts(notice).map(([label, text]) => `${label}: ${escape(cut(text, FACT_CHARACTERS))}`);
  return {
    // What notifications and those who do not show blocks have.
    text: head,
    unfurl_links: false,
    unfurl_media: false,
    blocks: [
      { type: "section", text: { type: "mrkdwn", text: [`${SIGNS[moodOf(notice)]} ${title}`, ...lines].join("\n") } },
    ],
  };
}

/** The three characters that mean something to Slack, and those of its emphasis made harmless by what nobody sees. */
export function escape(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll(/[*_~`]/g, (mark) => `\u2060${mark}`);
}
