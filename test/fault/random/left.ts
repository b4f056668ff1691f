/** What NATS holds that somebody has still to do. */
import type { Jet } from "../../../kit/jetstream.ts";
import { COMMAND, REACTORS, WAIT } from "../../../protocol/streams.ts";

/** A sentence; empty when there is nothing. What a killed process had taken is among it until another has done it. */
export async function leftToDo({ jsm }: Jet): Promise<string> {
  const commands = (await jsm.streams.info(COMMAND.name)).state.messages;
  if (commands > 0) return `${commands} commands are in the queue`;
  const held = (await jsm.streams.info(WAIT.name)).state.messages;
  if (held > 0) return `${held} commands are held back`;
  for (const { stream, name } of REACTORS) {
    const { num_pending, num_ack_pending } = await jsm.consumers.info(stream, name);
    if (num_pending + num_ack_pending > 0) return `${num_pending + num_ack_pending} messages of ${stream} wait`;
  }
  return "";
}
