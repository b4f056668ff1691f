/** The value below which a share `p` of the sorted values lies (nearest rank). NaN for no values. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] ?? Number.NaN;
}

/** To a tenth: finer than that is noise. */
export function tenths(value: number): number {
  return Math.round(value * 10) / 10;
}
