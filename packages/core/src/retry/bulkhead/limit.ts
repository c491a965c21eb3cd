import { type GradientBounds, type GradientState, gradientFrom, placesOf, stepGradient } from './gradient.js';

/** How many may run at once. */
export interface ConcurrencyLimit {
  readonly places: number;
  /** One has taken this long, while so many ran. */
  note(ms: number, running: number): void;
}

export class FixedLimit implements ConcurrencyLimit {
  readonly places: number;

  constructor(places: number) {
    this.places = places;
  }

  note(): void {}
}

/** Fewer are no sample: one that is slow by chance would move the limit. */
const fewestOfSample = 20;

/** Follows the times of calls: a step for about as many as run at once, so that each sees what the step before it has done. */
export class AdaptiveLimit implements ConcurrencyLimit {
  places: number;
  readonly #bounds: GradientBounds;
  readonly #onResize: (from: number, to: number) => void;
  #state: GradientState;
  #samples = 0;
  #sumMs = 0;
  #peak = 0;

  constructor(initial: number, bounds: GradientBounds, onResize: (from: number, to: number) => void) {
    this.#bounds = bounds;
    this.#onResize = onResize;
    this.#state = gradientFrom(initial);
    this.places = placesOf(this.#state, bounds);
  }

  note(ms: number, running: number): void {
    this.#samples++;
    this.#sumMs += ms;
    if (running > this.#peak) this.#peak = running;
    if (this.#samples < Math.max(fewestOfSample, this.#state.limit)) return;
    this.#state = stepGradient(this.#state, this.#sumMs / this.#samples, this.#peak, this.#bounds);
    this.#samples = 0;
    this.#sumMs = 0;
    this.#peak = 0;
    const from = this.places;
    this.places = placesOf(this.#state, this.#bounds);
    if (this.places !== from) this.#onResize(from, this.places);
  }
}
