/** The real one, but that an append of an executor expects nothing. */
import { type Appended, append as fenced, type Jet, readLast } from "../../../../../kit/jetstream.ts";

export * from "../../../../../kit/jetstream.ts";

/** After whatever is there, as if that were what was expected. */
export async function append(
  jet: Jet,
  stream: string,
  subject: string,
  event: { readonly id: string },
  _expectedSeq: number,
): Promise<Appended> {
  for (;;) {
    const last = await readLast(jet, stream, subject);
    const appended = await fenced(jet, stream, subject, event, last?.seq ?? 0);
    if (appended.kind === "appended") return appended;
  }
}
