/** The C programs of this folder, built for one benchmark. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { Missing } from "../../support/debian.ts";
import type { Place } from "./place.ts";

/** One line for the driver; see driver.c. */
export interface Case {
  readonly name: string;
  /** Files of namespaces to start it in. */
  readonly within?: readonly string[];
  readonly words: readonly string[];
}

/** µs of each run, by the name of the case. */
export type Times = ReadonlyMap<string, readonly number[]>;

export interface Measured {
  readonly times: Times;
  /** Cases of which a run failed, and why: they have no times. */
  readonly failed: ReadonlyMap<string, string>;
}

export class Driver {
  readonly #folder: string;
  readonly #place: Place;

  private constructor(folder: string, place: Place) {
    this.#folder = folder;
    this.#place = place;
  }

  static async build(dir: string, place: Place): Promise<Driver> {
    const folder = join(dir, "programs");
    const driver = new Driver(folder, place);
    await mkdir(folder);
    for (const name of ["driver", "bare", "overlay"] as const) {
      const source = join(import.meta.dirname, `${name}.c`);
      await execa("cc", ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-static", "-o", driver.program(name), source]);
    }
    return driver;
  }

  program(name: "driver" | "bare" | "overlay"): string {
    return join(this.#folder, name);
  }

  /** Runs all cases in turn, so many times. One that fails does not keep the others from being measured. */
  async run(cases: readonly Case[], rounds: number): Promise<Measured> {
    const input = cases.map(({ name, within = [], words }) => [name, within.join(",") || "-", ...words].join("\t"));
    const { host, runs } = this.#place;
    const words = ["-t", String(host.pid), "-m", "--", this.program("driver"), String(rounds), runs];
    const { stdout, exitCode, stderr } = await execa("nsenter", words, {
      input: input.map((line) => `${line}\n`).join(""),
      reject: false,
    });
    if (exitCode !== 0) throw new Missing(lastLine(stderr));
    const times = new Map<string, number[]>(cases.map(({ name }) => [name, []]));
    const failed = new Map<string, string>();
    for (const line of stdout.split("\n")) {
      const [name = "", us, ...why] = line.split(" ");
      if (us === "!") failed.set(name, [why.join(" "), lastLine(stderr)].filter(Boolean).join(": "));
      else times.get(name)?.push(Number(us));
    }
    for (const name of failed.keys()) times.delete(name);
    return { times, failed };
  }
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1) ?? "";
}
