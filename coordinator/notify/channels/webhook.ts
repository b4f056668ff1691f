/** Signed webhooks as standardwebhooks.com has them: an id, by which a repeat is known, a time, and a signature of both. */
import { Webhook } from "standardwebhooks";
import type { Notice } from "../../../protocol/notice.ts";
import type { Target } from "../settings.ts";
import { headline, pageOf, typeOf } from "../words.ts";
import type { Send } from "./channel.ts";
import { meaningOf, request } from "./http.ts";

export function webhookChannel(
  target: Extract<Target, { channel: "webhook" }>,
  publicUrl: string | null,
  userAgent: string,
): Send {
  const signer = new Webhook(target.secret);
  return async ({ id, notice }, _lane, signal) => {
    const body = JSON.stringify(payloadOf(notice, publicUrl));
    const now = new Date();
    const headers = {
      "content-type": "application/json",
      "user-agent": userAgent,
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
      "webhook-signature": signer.sign(id, now, body),
    };
    return meaningOf(await request(target.url, { headers, body }, signal), now.getTime());
  };
}

/** What programs get. Fields are only added. */
export function payloadOf(notice: Notice, publicUrl: string | null): object {
  const { kind, state, atMs, repository, number, environment, message, by, ref, commit, title, author } = notice;
  return {
    type: typeOf(notice),
    timestamp: new Date(atMs).toISOString(),
    data: {
      kind,
      state,
      summary: headline(notice),
      repository,
      build: number,
      environment,
      change: notice.change,
      rollback: notice.rollback,
      message,
      by,
      ref,
      commit,
      title,
      author,
      until: notice.untilMs === null ? null : new Date(notice.untilMs).toISOString(),
      url: pageOf(notice, publicUrl),
    },
  };
}
