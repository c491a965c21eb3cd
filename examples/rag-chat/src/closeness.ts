/** Which words of a question stand where in a text: one bit of `words` for each. */
export interface Occurrence {
  readonly position: number;
  readonly words: number;
}

/**
 * The most that any stretch of `width` words holds of a question, from 0 to 1: words that answer it stand together.
 * Bit n of an occurrence has the weight `weights[n]`. Occurrences are in the order of the text. Cost: their number times
 * those in one stretch.
 */
export function closeness(occurrences: readonly Occurrence[], weights: readonly number[], width: number): number {
  const whole = weights.reduce((sum, weight) => sum + weight, 0);
  if (whole === 0) return 0;
  let best = 0;
  for (const [from, { position }] of occurrences.entries()) {
    let held = 0;
    for (let at = from; at < occurrences.length; at++) {
      const next = occurrences[at];
      if (!next || next.position >= position + width) break;
      held |= next.words;
    }
    best = Math.max(best, weightOf(held, weights));
  }
  return best / whole;
}

function weightOf(words: number, weights: readonly number[]): number {
  let sum = 0;
  for (const [index, weight] of weights.entries()) if (words & (1 << index)) sum += weight;
  return sum;
}
