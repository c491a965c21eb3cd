import type { OutcomeWindow, SavedWindow } from './window.js';

/** The last so many calls: a ring with two bits for each, one plane of bits for failures and one for slow ones. */
export class CountWindow implements OutcomeWindow {
  calls = 0;
  failures = 0;
  slow = 0;
  readonly #size: number;
  readonly #failed: Uint32Array;
  readonly #slow: Uint32Array;
  /** Where the next one goes; once the ring is full, where the oldest is. */
  #next = 0;

  constructor(size: number) {
    this.#size = size;
    this.#failed = new Uint32Array(Math.ceil(size / 32));
    this.#slow = new Uint32Array(Math.ceil(size / 32));
  }

  add(isFailure: boolean, isSlow: boolean): void {
    const place = this.#next;
    if (this.calls < this.#size) this.calls++;
    this.failures += write(this.#failed, place, isFailure);
    this.slow += write(this.#slow, place, isSlow);
    this.#next = place + 1 < this.#size ? place + 1 : 0;
  }

  age(): void {}

  clear(): void {
    this.calls = 0;
    this.failures = 0;
    this.slow = 0;
    this.#next = 0;
    this.#failed.fill(0);
    this.#slow.fill(0);
  }

  save(): SavedWindow {
    let outcomes = '';
    const first = this.calls < this.#size ? 0 : this.#next;
    for (let index = 0; index < this.calls; index++) {
      const place = (first + index) % this.#size;
      outcomes += bitAt(this.#failed, place) + 2 * bitAt(this.#slow, place);
    }
    return { outcomes };
  }

  restore(saved: SavedWindow): void {
    this.clear();
    if (!('outcomes' in saved)) return;
    for (const digit of saved.outcomes) this.add((Number(digit) & 1) > 0, (Number(digit) & 2) > 0);
  }
}

function bitAt(plane: Uint32Array, place: number): number {
  return ((plane[place >>> 5] ?? 0) >>> (place & 31)) & 1;
}

/** By how much that changes the number of bits set. */
function write(plane: Uint32Array, place: number, isSet: boolean): number {
  const wasSet = bitAt(plane, place) === 1;
  if (isSet === wasSet) return 0;
  plane[place >>> 5] = (plane[place >>> 5] ?? 0) ^ (1 << (place & 31));
  return isSet ? 1 : -1;
}
