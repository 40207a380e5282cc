/**
 * The value below which a share of what was counted lies, as far as buckets tell: it is taken for spread evenly within its own,
 * and what lies above the last bound for being there. null: nothing was counted.
 *
 * @param bounds upper bounds of the buckets, rising; the first begins at 0
 * @param counts of each bucket alone, and of what lies above the last one
 */
export function quantile(bounds: readonly number[], counts: readonly number[], share: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = share * total;
  let below = 0;
  for (const [i, bound] of bounds.entries()) {
    const count = counts[i] ?? 0;
    if (count > 0 && below + count >= rank) {
      const from = bounds[i - 1] ?? 0;
      return from + ((bound - from) * (rank - below)) / count;
    }
    below += count;
  }
  return bounds.at(-1) ?? null;
}
