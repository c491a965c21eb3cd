import { digestKey } from '../../../kernel/index.js';
import type { Amounts, CalendarDimension, Dimension } from '../../dimensions.js';
import { resolution } from '../../meters/sliding-log.js';
import type { Ask } from './ask.js';

/** What the script has to know of the dimensions of a limiter. */
export class Shape {
  /** Of what is counted and how; the limits are not in it, so that they may change without beginning anew. */
  readonly digest: string;
  readonly dimensions: readonly Dimension[];
  readonly limits: Amounts;
  readonly hasPlaces: boolean;
  /** Of their periods the script has to be told. */
  readonly calendars: readonly CalendarDimension[];

  constructor(dimensions: readonly Dimension[]) {
    this.dimensions = dimensions;
    this.hasPlaces = dimensions.some(({ kind }) => kind === 'concurrency');
    this.calendars = dimensions.filter(({ kind }) => kind === 'calendar') as readonly CalendarDimension[];
    this.limits = dimensions.map(({ limit }) => limit);
    // Whether a burst counts at all hangs on the limit, and what is kept on that.
    const counted = dimensions.map(({ limit: _, ...rest }, index) => [rest, isPaced(dimensions[index])]);
    this.digest = digestKey(counted).slice(0, 12);
  }

  /** A kind and four numbers for each dimension. @param firstPeriod where its periods begin in the list of all, from 1 */
  describe(ask: Ask, firstPeriod: number): void {
    let period = firstPeriod;
    ask.byte(this.dimensions.length);
    for (const dimension of this.dimensions) {
      const { kind, limit } = dimension;
      if (kind === 'window') {
        const { windowMs, burst = 0 } = dimension;
        const pace = isPaced(dimension) ? [burst, unitMsOf(limit, windowMs, burst)] : [0, 0];
        ask.byte(1);
        ask.numbers([limit, windowMs, ...pace]);
      } else {
        ask.byte(kind === 'calendar' ? 2 : 3);
        ask.numbers([limit, kind === 'calendar' ? period++ : 0, 0, 0]);
      }
    }
  }
}

function isPaced(dimension: Dimension | undefined): boolean {
  return dimension?.kind === 'window' && dimension.burst !== undefined && dimension.burst < dimension.limit;
}

/** In which one unit drains at the full rate, as `PacedWindow` has it. */
function unitMsOf(limit: number, windowMs: number, burst: number): number {
  const isEven = burst <= limit * resolution;
  return isEven ? (windowMs * (1 + resolution)) / (limit - burst) : windowMs / limit;
}
