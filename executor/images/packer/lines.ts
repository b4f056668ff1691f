/** A stream of foreign bytes as lines, none longer than a bound. */
import { StringDecoder } from "node:string_decoder";

/** Without their ends. A line that goes on for longer comes in pieces. */
export async function* linesOf(from: AsyncIterable<unknown>, mostChars: number): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of from) {
    const lines = (rest + decoder.write(chunk as Buffer)).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield* pieces(line, mostChars);
    if (rest.length <= mostChars) continue;
    const whole = rest.length - (rest.length % mostChars);
    yield* pieces(rest.slice(0, whole), mostChars);
    rest = rest.slice(whole);
  }
  rest += decoder.end();
  if (rest !== "") yield* pieces(rest, mostChars);
}

function* pieces(line: string, mostChars: number): Generator<string> {
  if (line.length <= mostChars) return yield line.replace(/\r$/, "");
  for (let at = 0; at < line.length; at += mostChars) yield line.slice(at, at + mostChars);
}
