/** One event of a server-sent event stream. */
export interface ServerEvent {
  readonly event: string;
  readonly data: string;
  /** The last id that was seen, this event's included; null before any. */
  readonly id: string | null;
}

/** Reads `text/event-stream`. An event that the end cuts off is dropped, as the standard has it. */
export async function* serverEvents(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  let id: string | null = null;
  let event = "";
  let data: string[] = [];
  for await (const line of lines(bytes)) {
    if (line === "") {
      if (data.length > 0) yield { event: event === "" ? "message" : event, data: data.join("\n"), id };
      event = "";
      data = [];
      continue;
    }
    const [field = "", value = ""] = splitField(line);
    if (field === "data") data.push(value);
    if (field === "event") event = value;
    if (field === "id") id = value;
  }
}

async function* lines(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of bytes) {
    const pieces = (rest + decoder.decode(chunk, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = pieces.pop() ?? "";
    yield* pieces;
  }
}

function splitField(line: string): readonly string[] {
  const at = line.indexOf(":");
  if (at === -1) return [line];
  return [line.slice(0, at), line.slice(at + 1).replace(/^ /, "")];
}
