/** Questions to the person at a terminal. */
import { createInterface } from "node:readline";
import { EXIT, Failure } from "./exit.ts";

export interface Asking extends Disposable {
  /** Their answer; `otherwise` when they only press Enter. */
  question(text: string, otherwise: string): Promise<string>;
}

/** Null when nobody is there who could answer. */
export function askAt(input: NodeJS.ReadStream, output: NodeJS.WriteStream): Asking | null {
  if (!input.isTTY || !output.isTTY) return null;
  const lines = createInterface({ input, output });
  const gone = Promise.withResolvers<never>();
  gone.promise.catch(() => undefined); // heard by who asks
  // Ctrl-C, and Ctrl-D: nothing was agreed to.
  lines.once("SIGINT", () => lines.close());
  lines.once("close", () => gone.reject(new Failure(EXIT.interrupted, "TOR_INTERRUPTED", "interrupted")));
  return {
    question: async (text, otherwise) => {
      const shown = otherwise === "" ? text : `${text} [${otherwise}]`;
      const answered = new Promise<string>((resolve) => lines.question(`${shown} `, resolve));
      const answer = (await Promise.race([answered, gone.promise])).trim();
      return answer === "" ? otherwise : answer;
    },
    [Symbol.dispose]: () => lines.close(),
  };
}
