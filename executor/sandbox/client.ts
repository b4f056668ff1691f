/** Asks the sandbox's `serve`, which alone has privilege: one connection for each request, no process started. */
import { connect } from "node:net";
import { sentenceOf, ToroidError } from "../../protocol/errors.ts";
import type { Leash } from "../leash.ts";
import { SILENT, type Verdict, verdictOf } from "../workspace/verdict.ts";
import { type Answer, answerOf, KILL, RENEW, type Ready, requestBytes, TERM } from "./request.ts";

export interface ServedRun {
  /** `run` and what comes after it. */
  readonly words: readonly string[];
  /** Called once `serve` has what it needs of us, or will never. */
  readonly taken: () => void;
  /** Ends the command in order: TERM, a time of grace, KILL. */
  readonly cancelled: AbortSignal;
  /** Ends everything at once. */
  readonly abandoned: AbortSignal;
  /** Tells it that we live, if it was asked to listen. */
  readonly leash: Leash | null;
}

export class SandboxClient {
  readonly #path: string;
  readonly #lost = new AbortController();

  /** @param path of the socket */
  constructor(path: string) {
    this.#path = path;
  }

  /** Aborts when nobody serves any more, with the error that says so. What runs then, runs on. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  lose(why: string): void {
    const message = `nobody serves the sandbox any more: ${why}`;
    if (!this.#lost.signal.aborted) this.#lost.abort(new ToroidError("TOR_SANDBOX_SETUP", message));
  }

  async hello(): Promise<Ready> {
    const said = await this.#answer(["hello"]);
    if (said.event !== "ready") throw new ToroidError("TOR_SANDBOX_SETUP", `serve answers ${said.event} to hello`);
    return said;
  }

  /** Gives us what builds left below `path`, so that it can be read. */
  async adopt(path: string): Promise<void> {
    await this.#done(["adopt", path]);
  }

  async remove(path: string): Promise<void> {
    await this.#done(["remove", path]);
  }

  async discard(scratch: string): Promise<void> {
    await this.#done(["discard", scratch]);
  }

  /**
   * Has an archive, or a layer, unpacked to `name` in the store of images, from a pipe that is to be held open until
   * `opened`. Nothing to do when it is there. Answers a sentence when it cannot be unpacked.
   */
  async unpack(
    o: { readonly pipe: string; readonly name: string; readonly isLayer: boolean },
    opened: () => void,
  ): Promise<{ readonly bytes: number } | string> {
    const said = await this.#told([o.isLayer ? "unpack-layer" : "unpack", o.pipe, o.name], opened);
    return typeof said === "string" ? said : { bytes: said.bytes };
  }

  /** Removes `name` from the store of images. */
  async drop(name: string): Promise<void> {
    await this.#done(["drop", name]);
  }

  /** Has what runs wrote into a kept scratch written as a layer into a pipe that somebody reads. */
  async export(scratch: string, pipe: string): Promise<string | null> {
    const said = await this.#told(["export", scratch, pipe]);
    return typeof said === "string" ? said : null;
  }

  /** Removes what runs that were killed left. Only while no workspace of ours is in use. */
  async collect(): Promise<void> {
    await this.#done(["gc"]);
  }

  /** Sees a run through. That it could not be asked for is a verdict as well. */
  async run(o: ServedRun): Promise<Verdict> {
    const asking = this.#ask(o.words, o.taken);
    const cancel = (): void => asking.say(TERM);
    const atOnce = (): void => asking.say(KILL);
    const letGo = o.leash?.onRenewed(() => asking.say(RENEW));
    listen(o.cancelled, cancel);
    listen(o.abandoned, atOnce);
    try {
      const verdict = verdictOf(await asking.said);
      return verdict === SILENT ? { ...SILENT, message: "serve ended without a word" } : verdict;
    } catch (error) {
      return { ...SILENT, message: sentenceOf(error) };
    } finally {
      o.taken();
      letGo?.();
      o.cancelled.removeEventListener("abort", cancel);
      o.abandoned.removeEventListener("abort", atOnce);
    }
  }

  /** What was done, else why it is not. */
  async #told(words: readonly string[], heard?: () => void): Promise<Extract<Answer, { event: "done" }> | string> {
    const said = answerOf(await this.#ask(words, heard).said);
    if (said?.event === "done") return said;
    return said?.event === "refused" ? said.message : "serve ended without a word";
  }

  async #done(words: readonly string[]): Promise<void> {
    const said = await this.#answer(words);
    if (said.event !== "done") throw new ToroidError("TOR_SANDBOX_SETUP", `serve answers ${said.event} to ${words[0]}`);
  }

  async #answer(words: readonly string[]): Promise<Answer> {
    const said = answerOf(await this.#ask(words).said);
    if (said === null) throw new ToroidError("TOR_SANDBOX_SETUP", `serve has no answer to ${words[0] ?? ""}`);
    if (said.event === "refused") throw new ToroidError("TOR_SANDBOX_SETUP", said.message);
    return said;
  }

  #ask(
    words: readonly string[],
    heard: () => void = () => undefined,
  ): { readonly said: Promise<string>; readonly say: (byte: string) => void } {
    const request = requestBytes(words);
    const socket = connect({ path: this.#path });
    let text = "";
    let connected = false;
    socket.setEncoding("utf8").once("data", heard);
    const said = new Promise<string>((resolve, reject) => {
      socket.once("connect", () => {
        connected = true;
      });
      socket.on("data", (chunk: string) => {
        text += chunk;
      });
      socket.once("error", (error) => {
        // A connection that breaks has still told what it told.
        if (connected) return;
        this.lose(error.message);
        reject(new ToroidError("TOR_SANDBOX_SETUP", `the sandbox cannot be asked: ${error.message}`));
      });
      socket.once("close", () => resolve(text));
    });
    socket.write(request);
    return { said, say: (byte) => void socket.write(byte) };
  }
}

function listen(signal: AbortSignal, act: () => void): void {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
}
