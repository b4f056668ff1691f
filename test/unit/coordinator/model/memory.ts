/** Equal values become one object with a number, so that a state of the world is a short list of numbers. */
export class Memory {
  readonly #byText = new Map<string, object>();
  readonly #numbers = new Map<object, number>();
  readonly #answers = new Map<string, unknown>();

  /** The one object that is equal to `value`. */
  one<T extends object>(value: T): T {
    if (this.#numbers.has(value)) return value;
    const text = JSON.stringify(value);
    const known = this.#byText.get(text);
    if (known !== undefined) return known as T;
    this.#byText.set(text, value);
    this.#numbers.set(value, this.#numbers.size + 1);
    return value;
  }

  number(value: object): number {
    const number = this.#numbers.get(value);
    if (number === undefined) throw new Error(`never seen: ${JSON.stringify(value)}`);
    return number;
  }

  /** What a pure function answers for two values, asked once. */
  answer<T>(what: string, a: object, b: object, ask: () => T): T {
    const key = `${what} ${this.number(a)} ${this.number(b)}`;
    const known = this.#answers.get(key);
    if (known !== undefined) return known as T;
    const answer = ask();
    this.#answers.set(key, answer);
    return answer;
  }
}
