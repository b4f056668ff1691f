/** The real one, but that what coordinators write and executors are told means something new. */
import { PROTOCOL_VERSION as NOW, versionOf as versionNow } from "../../../../../protocol/versions.ts";

export * from "../../../../../protocol/versions.ts";

export const PROTOCOL_VERSION: number = NOW + 1;
export const COMMAND_VERSION: number = PROTOCOL_VERSION;

const CHANGED = ["planned", "queued", "entered", "withdrawn", "admitted", "left", "paused", "resumed"];

export function versionOf(event: object, lane: object | null = null): number {
  const isChanged = "type" in event && CHANGED.includes(String(event.type));
  return isChanged ? PROTOCOL_VERSION : versionNow(event, lane);
}

export function commandVersionOf(_command: object): number {
  return COMMAND_VERSION;
}
