import type { AmiSummary, ClearedThing, Clearing } from "../../protocol/ami-summary.ts";
import { formatBuild } from "../../protocol/ids.ts";
import { oneLine, table } from "./output.ts";
import { age } from "./time.ts";

export function amiTable(amis: readonly AmiSummary[], nowMs: number): string {
  const rows = amis.flatMap((ami) =>
    ami.images.map((image) => [
      oneLine(image.id, 30),
      oneLine(image.region, 20),
      oneLine(image.state, 12),
      oneLine(buildOf(ami)),
      ami.commit.slice(0, 7),
      ami.createdAtMs === null ? "" : age(ami.createdAtMs, nowMs),
      oneLine(ami.live.join(","), 40),
      ami.goes ? `goes: ${oneLine(ami.why, 100)}` : oneLine(ami.why, 100),
    ]),
  );
  return table([["AMI", "REGION", "STATE", "BUILD", "COMMIT", "AGE", "LIVE", ""], ...rows]);
}

export function amiReport(ami: AmiSummary): string {
  const facts: (readonly [string, string])[] = [
    ["build", buildOf(ami)],
    ["stage", ami.stage],
    ["commit", ami.ref === null ? ami.commit : `${ami.commit} of ${ami.ref}`],
    ["made", [ami.createdAtMs === null ? "" : new Date(ami.createdAtMs).toISOString(), whoOf(ami)].join(" ").trim()],
    ["content", ami.key],
    ...ami.images.map(({ region, id, state, snapshots }): [string, string] => [
      "image",
      `${id} in ${region}, ${state}${snapshots.length === 0 ? "" : `, of ${snapshots.join(", ")}`}`,
    ]),
    ["live", ami.live.join(", ") || "nowhere"],
    ["way back", ami.back.join(", ") || "of nothing"],
    ["builds", ami.builds.map((number) => `#${number}`).join(", ") || "none that is known"],
    [ami.goes ? "goes" : "stays", ami.why],
  ];
  return table(facts.map(([name, value]) => [name, oneLine(value, 300)]));
}

/** What goes comes first, since it is what one asks for. */
export function clearingReport({ dryRun, gone, stays, failed }: Clearing): string {
  const lines = (word: string, things: readonly ClearedThing[]): readonly (readonly string[])[] =>
    things.map(({ kind, region, id, bake, why }) => [
      word,
      kind,
      oneLine(id, 30),
      oneLine(region, 20),
      oneLine(bake, 60),
      oneLine(why, 200),
    ]);
  const rows = [
    ...lines(dryRun ? "would go" : "gone", gone),
    ...lines("not removed", failed),
    ...lines("stays", stays),
  ];
  return rows.length === 0 ? "nothing is there\n" : table([["", "WHAT", "ID", "REGION", "BAKE", "WHY"], ...rows]);
}

function buildOf({ repository, number, builds }: AmiSummary): string {
  const own = number === null ? repository : formatBuild({ repository, number });
  const others = builds.filter((one) => one !== number);
  return others.length === 0 ? own : `${own} (and ${others.map((one) => `#${one}`).join(", ")})`;
}

function whoOf({ by, author }: AmiSummary): string {
  const caused = by === null || by === "" ? "" : `caused by ${by}`;
  const wrote = author === null || author === "" ? "" : `commit by ${author}`;
  return [caused, wrote].filter((one) => one !== "").join(", ");
}
