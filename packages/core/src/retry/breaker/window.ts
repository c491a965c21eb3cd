/** Outcomes as they are saved, for the window that they came from. */
export type SavedWindow =
  | {
      /** One digit a call, the oldest first: 1 for a failure, 2 for a slow one, 3 for both. */
      readonly outcomes: string;
    }
  | {
      readonly bucketMs: number;
      /** How much of the newest bucket had passed. */
      readonly intoMs: number;
      /** Calls, failures and slow ones, the newest bucket first. */
      readonly buckets: readonly (readonly [number, number, number])[];
    };

/** The outcomes that rates are of, in fixed memory and O(1). Pure state: the time comes in. */
export interface OutcomeWindow {
  /** Of what was in the window when it was last aged or added to. */
  readonly calls: number;
  readonly failures: number;
  readonly slow: number;
  add(isFailure: boolean, isSlow: boolean, now: number): void;
  /** Forgets what is too old. */
  age(now: number): void;
  clear(): void;
  save(now: number): SavedWindow;
  /** @param elapsedMs since it was saved */
  restore(saved: SavedWindow, elapsedMs: number, now: number): void;
}
