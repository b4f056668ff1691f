/** The one of `words` that `word` most likely meant, or null when none is near. */
export function nearest(word: string, words: readonly string[]): string | null {
  if (word.length > MAX_WORD) return null;
  const folded = fold(word);
  let best: string | null = null;
  let bestDistance = Math.floor(folded.length / 3) + 1;
  for (const candidate of words) {
    const distance = fold(candidate) === folded ? 0 : distanceBetween(folded, fold(candidate));
    if (distance < bestDistance || (distance === bestDistance && best === null && distance < folded.length)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** "did you mean `script`?", or null. */
export function didYouMean(word: string, words: readonly string[]): string | null {
  const near = nearest(word, words);
  return near === null ? null : `did you mean \`${near}\`?`;
}

/** `a`, `b` and `c`, as in a sentence. */
export function listed(words: readonly string[], conjunction: "and" | "or" = "or"): string {
  const quoted = words.map((word) => `\`${word}\``);
  const last = quoted.pop();
  if (last === undefined) return "nothing";
  return quoted.length === 0 ? last : `${quoted.join(", ")} ${conjunction} ${last}`;
}

const MAX_WORD = 64;

function fold(word: string): string {
  return word.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
}

/** Edits (insert, delete, replace, swap neighbours) from `a` to `b`. */
function distanceBetween(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? a.length;
}
