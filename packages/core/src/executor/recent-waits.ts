const most = 512;

/** How long the last 512 have waited. Noting one costs a write. */
export class RecentWaits {
  readonly #waitsMs = new Float64Array(most);
  #noted = 0;

  note(waitedMs: number): void {
    this.#waitsMs[this.#noted++ % most] = waitedMs;
  }

  /** 0 where there is none. */
  get medianMs(): number {
    const sorted = this.#waitsMs.slice(0, Math.min(this.#noted, most)).sort();
    return sorted[(sorted.length - 1) >> 1] ?? 0;
  }
}
