/** How far counts are from what was expected of them. */
export function chiSquareOf(counts: readonly number[], expected: readonly number[]): number {
  return counts.reduce((sum, count, i) => sum + (count - (expected[i] as number)) ** 2 / (expected[i] as number), 0);
}

/** The probability that chance alone is at least so far off, with so many degrees of freedom. */
export function chanceOf(chiSquare: number, freedom: number): number {
  // The lower incomplete gamma function by its series.
  const [a, x] = [freedom / 2, chiSquare / 2];
  // Beyond every table, and soon beyond what a number holds.
  if (x > 500) return 0;
  let term = 1 / gammaOf(a + 1);
  let sum = term;
  for (let n = 1; term > sum * 1e-15; n += 1) {
    term *= x / (a + n);
    sum += term;
  }
  return 1 - Math.exp(a * Math.log(x) - x) * sum;
}

/** The gamma function of a multiple of a half. */
function gammaOf(a: number): number {
  if (a === 1) return 1;
  if (a === 0.5) return Math.sqrt(Math.PI);
  return (a - 1) * gammaOf(a - 1);
}

/** The probability that waits that are uniform up to `boundMs` fall as these do, over bins of a second. */
export function chanceOfUniform(waitsMs: readonly number[], boundMs: number): number {
  const binMs = 1_000;
  const count = Math.ceil(boundMs / binMs);
  const counts = Array<number>(count).fill(0);
  for (const waitMs of waitsMs) {
    // What lies outside is all in one bin too many.
    if (!(waitMs >= 0 && waitMs < boundMs)) return 0;
    const bin = Math.floor(waitMs / binMs);
    counts[bin] = (counts[bin] as number) + 1;
  }
  const expected = counts.map((_, i) => (waitsMs.length * (Math.min((i + 1) * binMs, boundMs) - i * binMs)) / boundMs);
  return chanceOf(chiSquareOf(counts, expected), count - 1);
}
