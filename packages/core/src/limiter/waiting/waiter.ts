import type { Queued } from '../../kernel/index.js';
import type { Amounts } from '../dimensions.js';
import type { Line } from './line.js';
import type { Outcome, Wish } from './wish.js';

/** A wish in its place, and whoever waits for it. */
export class Waiter<V, W extends Wish> implements Queued {
  readonly wish: W;
  readonly sequence: number;
  readonly cost: number;
  readonly weight: number;
  readonly due: number;
  priority: number;
  riseAt: number = Number.POSITIVE_INFINITY;
  readonly places: number[] = [-1, -1, -1];
  isWaiting = false;
  /** Set when it begins to wait, as are the two below. */
  line: Line<Waiter<V, W>> | undefined;
  resolve: (outcome: Outcome<V>) => void = nobody;
  reject: (error: unknown) => void = nobody;

  constructor(wish: W, sequence: number, cost: number, weight: number, due: number) {
    this.wish = wish;
    this.sequence = sequence;
    this.cost = cost;
    this.weight = weight;
    this.due = due;
    this.priority = wish.priority;
  }

  get tenant(): string {
    return this.wish.tenant;
  }

  get amounts(): Amounts {
    return this.wish.amounts;
  }
}

function nobody(): void {}
