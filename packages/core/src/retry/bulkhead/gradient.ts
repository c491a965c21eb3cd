/** What an adaptive limit goes by between two steps. Plain numbers: a step makes new ones. */
export interface GradientState {
  /** With its fraction. */
  readonly limit: number;
  /** How long a call takes while nobody waits for anybody, as far as is known; 0 before the first sample. */
  readonly longMs: number;
  /** Steps since the last probe began: meanwhile the long-term time is measured. */
  readonly steps: number;
  /** What the limit was then. */
  readonly probedAt: number;
}

export interface GradientBounds {
  readonly min: number;
  readonly max: number;
}

/** A call may take this much longer before the limit falls: less is chance. */
const tolerance = 1.1;
/** The share of a step that is taken at once. */
const smoothing = 0.2;
/** Over how many steps the long-term time is an average. */
const longSteps = 600;
/** How often the long-term time is measured anew, in steps. */
const probeEvery = 100;
/** How long the limit is halved for that: one step for the queue to go, one to measure. */
const probeSteps = 2;
/** How soon the next one is where the last one is not to be trusted: there was none, or the queue was so long that half of it was left. */
const probeSoon = 8;
const muchShorter = 0.8;

/** The state before there was any sample. */
export function gradientFrom(initial: number): GradientState {
  return { limit: initial, longMs: 0, steps: probeEvery - probeSoon, probedAt: initial };
}

/** How many may run: half as many while the long-term time is measured. */
export function placesOf({ limit, steps }: GradientState, { min }: GradientBounds): number {
  return Math.max(min, Math.floor(isProbing(steps) ? limit / 2 : limit));
}

/**
 * One step of a limit by the gradient of the round-trip time, as in Gradient2 of Netflix's concurrency-limits: where calls take longer
 * than in the long term, the limit falls in that proportion, by half at the most, and it grows by what a queue may hold otherwise.
 * Two things are ours. The growth is a third of the square root of the limit, so that it is small for a small one. And since a long-term
 * average that saturated calls are part of follows the queue that it should show, every hundredth step halves the limit for two, and
 * takes the second of them as the long-term time, as their first Gradient did.
 * @param shortMs the mean time of the calls since the last step
 * @param peak the most that ran at once meanwhile: the limit says nothing where less than half of it was in use
 */
export function stepGradient(
  state: GradientState,
  shortMs: number,
  peak: number,
  { min, max }: GradientBounds,
): GradientState {
  const { limit, steps } = state;
  const isMeasured = steps === probeSteps - 1;
  const next = isProbing(steps) ? steps + 1 : (steps + 1) % probeEvery;
  if (isMeasured) {
    const isTrusted = shortMs > muchShorter * state.longMs;
    return { limit, longMs: shortMs, steps: isTrusted ? next : probeEvery - probeSoon, probedAt: limit };
  }
  if (state.longMs === 0) return { ...state, longMs: shortMs, steps: next };
  if (isProbing(steps)) return { ...state, steps: next };
  const averageMs = state.longMs + (shortMs - state.longMs) / longSteps;
  // After trouble that has lasted the average is too long to show the next one: it comes down faster.
  const longMs = averageMs > 2 * shortMs ? averageMs * 0.95 : averageMs;
  if (peak < limit / 2) return { ...state, longMs, steps: next };
  const gradient = Math.max(0.5, Math.min(1, (tolerance * longMs) / shortMs));
  const wanted = gradient * limit + Math.sqrt(limit) / 3;
  const smoothed = limit + smoothing * (wanted - limit);
  // Where half as many take as long, it is not their number: what they take in the long term is another time by now.
  const isDoubtful = smoothed < state.probedAt / 2;
  return { ...state, limit: Math.min(max, Math.max(min, smoothed)), longMs, steps: isDoubtful ? 0 : next };
}

function isProbing(steps: number): boolean {
  return steps < probeSteps;
}
