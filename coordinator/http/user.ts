/**
 * Who asks. There is no sign-in yet: a header says it, and nothing checks it. A proxy that knows its people sets it.
 */
import type { IncomingHttpHeaders } from "node:http";
import { ToroidError } from "../../protocol/errors.ts";
import { printable } from "../../protocol/pipeline/text-rules.ts";
import { NOBODY_IN_PARTICULAR } from "../actors/environment/approval.ts";

const NAME_CHARACTERS = 100;

/** @throws {ToroidError} TOR_INVALID_INPUT for a name that cannot be shown */
export function userOf(headers: IncomingHttpHeaders): string {
  const said = headers["toroid-user"];
  if (said === undefined) return NOBODY_IN_PARTICULAR;
  // Headers are Latin-1 to Node; names are UTF-8.
  const name = Buffer.from(String(said), "latin1").toString("utf8").trim();
  if (name === "") return NOBODY_IN_PARTICULAR;
  const isText = printable(name) === name && !name.includes("\ufffd");
  if (name.length > NAME_CHARACTERS || !isText) {
    throw new ToroidError(
      "TOR_INVALID_INPUT",
      `the header Toroid-User is no name: ${NAME_CHARACTERS} printable characters at most`,
    );
  }
  return name;
}
