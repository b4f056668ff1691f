/** What sends to each target, by its name. */

import { assertNever, ToroidError } from "../../protocol/errors.ts";
import type { Send } from "./channels/channel.ts";
import { slackChannel } from "./channels/slack.ts";
import { webhookChannel } from "./channels/webhook.ts";
import { GITHUB, type NotifySettings, type Target } from "./settings.ts";

export type Channels = ReadonlyMap<string, Send>;

export interface ChannelParts {
  readonly publicUrl: string | null;
  readonly version: string;
}

/** Mail and GitHub bring libraries of fifty megabytes, which whoever tells neither should not spend. */
export async function makeChannels(settings: NotifySettings, { publicUrl, version }: ChannelParts): Promise<Channels> {
  const channels = new Map<string, Send>();
  const userAgent = `toroid/${version}`;
  for (const target of settings.targets) channels.set(target.name, await channelOf(target));
  if (settings.github !== null) {
    const { githubChannel } = await import("./channels/github.ts");
    channels.set(GITHUB, githubChannel(settings.github, publicUrl, userAgent));
  }
  return channels;

  async function channelOf(target: Target): Promise<Send> {
    switch (target.channel) {
      case "slack":
        return slackChannel(target, publicUrl);
      case "webhook":
        return webhookChannel(target, publicUrl, userAgent);
      case "email": {
        if (settings.smtp === null) throw new ToroidError("TOR_INTERNAL", `${target.name} has no server for e-mail`);
        const { emailChannel } = await import("./channels/email.ts");
        return emailChannel(target, settings.smtp, publicUrl);
      }
      default:
        return assertNever(target, "target");
    }
  }
}
