export type Figures = Readonly<Record<string, number>>;

/** What one benchmark says; numbers only in `figures` and `ratios` (ours / theirs). */
export interface Report {
  readonly bench: string;
  readonly figures: Figures;
  readonly ratios: Figures;
  readonly setup: Readonly<Record<string, unknown>>;
}

/** For people. */
export function table({ bench, figures, ratios, setup }: Report): string {
  const rows = [...Object.entries(figures), ...Object.entries(ratios)];
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`);
  const notes = Object.entries(setup).map(([name, value]) => `  ${name}: ${note(value)}`);
  return [bench, ...lines, ...notes, ""].join("\n");
}

function note(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value).replaceAll(/[{}"]/g, "").replaceAll(",", ", ");
}
