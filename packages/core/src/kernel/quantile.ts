/** Below the quantile's own marker come the minimum and half its rank, above it half the rest and the maximum. */
const markers = 5;

/**
 * One quantile of a stream in fixed memory: the P2 algorithm (Jain and Chlamtac, "The P2 algorithm for dynamic calculation of
 * quantiles and histograms without storing observations", CACM 28(10), 1985). Exact (nearest rank) up to five samples. `add`
 * is O(1). Samples that are not finite are passed over.
 */
export class P2Quantile {
  readonly #share: number;
  /** Never falls from one marker to the next. */
  readonly #heights: number[] = [];
  /** How many samples are at or below each marker: whole numbers that rise from marker to marker. */
  readonly #ranks: number[] = [1, 2, 3, 4, 5];
  readonly #wanted: number[];
  readonly #steps: readonly number[];
  #count = 0;

  /** @param share from 0 to 1: 0.9 is the value that nine samples in ten do not exceed */
  constructor(share: number) {
    this.#share = share;
    this.#steps = [0, share / 2, share, (1 + share) / 2, 1];
    this.#wanted = this.#steps.map((step) => 1 + step * (markers - 1));
  }

  get count(): number {
    return this.#count;
  }

  /** Undefined before the first sample; later between the smallest and the largest. */
  get value(): number | undefined {
    if (this.#count > markers) return this.#heights[2];
    const sorted = this.#heights.toSorted((left, right) => left - right);
    return sorted[Math.max(0, Math.ceil(this.#share * sorted.length) - 1)];
  }

  add(sample: number): void {
    if (!Number.isFinite(sample)) return;
    if (++this.#count <= markers) {
      this.#heights.push(sample);
      if (this.#count === markers) this.#heights.sort((left, right) => left - right);
      return;
    }
    const above = this.#place(sample);
    for (let marker = above; marker < markers; marker++) this.#ranks[marker] = at(this.#ranks, marker) + 1;
    for (let marker = 0; marker < markers; marker++) {
      this.#wanted[marker] = at(this.#wanted, marker) + at(this.#steps, marker);
    }
    for (let marker = 1; marker < markers - 1; marker++) this.#adjust(marker);
  }

  /** Widens the range where needed. @returns the first marker that has one more sample at or below it */
  #place(sample: number): number {
    const heights = this.#heights;
    if (sample < at(heights, 0)) {
      heights[0] = sample;
      return 1;
    }
    if (sample >= at(heights, markers - 1)) {
      heights[markers - 1] = sample;
      return markers - 1;
    }
    return heights.findIndex((height) => sample < height);
  }

  /** Moves a marker by one rank towards where it should be, if there is room. */
  #adjust(marker: number): void {
    const rank = at(this.#ranks, marker);
    const off = at(this.#wanted, marker) - rank;
    const step =
      off >= 1 && at(this.#ranks, marker + 1) - rank > 1
        ? 1
        : off <= -1 && rank - at(this.#ranks, marker - 1) > 1
          ? -1
          : 0;
    if (step === 0) return;
    const curved = this.#parabolic(marker, step);
    const fits = at(this.#heights, marker - 1) < curved && curved < at(this.#heights, marker + 1);
    this.#heights[marker] = fits ? curved : this.#linear(marker, step);
    this.#ranks[marker] = rank + step;
  }

  /** The piecewise parabola of the paper, which the name P2 stands for. */
  #parabolic(marker: number, step: number): number {
    const rank = at(this.#ranks, marker);
    const below = rank - at(this.#ranks, marker - 1);
    const above = at(this.#ranks, marker + 1) - rank;
    const height = at(this.#heights, marker);
    const rising = ((below + step) * (at(this.#heights, marker + 1) - height)) / above;
    const falling = ((above - step) * (height - at(this.#heights, marker - 1))) / below;
    return height + (step / (below + above)) * (rising + falling);
  }

  #linear(marker: number, step: number): number {
    const height = at(this.#heights, marker);
    const rank = at(this.#ranks, marker);
    return height + (step * (at(this.#heights, marker + step) - height)) / (at(this.#ranks, marker + step) - rank);
  }
}

/** Every index used here is below `markers`. */
function at(values: readonly number[], index: number): number {
  return values[index] ?? 0;
}

/**
 * A quantile that forgets: of between the last `memory` and the last `2 * memory` samples. Two estimators are fed, and each
 * time the younger has seen `memory` samples it takes the place of the older and a new one begins.
 */
export class RecentQuantile {
  readonly #share: number;
  readonly #memory: number;
  #older: P2Quantile;
  #younger: P2Quantile | undefined;

  constructor(share: number, memory: number) {
    this.#share = share;
    this.#memory = memory;
    this.#older = new P2Quantile(share);
  }

  /** How many samples `value` is made of. */
  get count(): number {
    return this.#older.count;
  }

  get value(): number | undefined {
    return this.#older.value;
  }

  add(sample: number): void {
    this.#older.add(sample);
    this.#younger?.add(sample);
    if (this.#younger ? this.#younger.count < this.#memory : this.#older.count < this.#memory) return;
    if (this.#younger) this.#older = this.#younger;
    this.#younger = new P2Quantile(this.#share);
  }
}
