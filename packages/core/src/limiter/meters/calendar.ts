import type { CalendarPeriod } from '../contract.js';

/** From an instant of wall time up to, but without, another: milliseconds since 1970. */
export interface Period {
  readonly start: number;
  readonly end: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;

const calendars = new Map<string, Calendar>();

/** One for each period and time zone, since the tables of a zone are costly. @throws RangeError for a zone that nobody knows */
export function calendarOf(per: CalendarPeriod, timeZone: string): Calendar {
  const name = `${per} ${timeZone}`;
  let calendar = calendars.get(name);
  if (calendar === undefined) {
    calendar = new Calendar(per, timeZone);
    calendars.set(name, calendar);
  }
  return calendar;
}

/**
 * The hours, days, weeks (from Monday) or months of a time zone. They follow each other without a gap: days have 23 or 25 hours
 * where the clocks change, and an hour that a change cuts is two. A day begins with its first instant, also where that is not
 * midnight; one that a zone has left out (Apia, 30 December 2011) is no period. A question about the period that was asked about
 * last costs two comparisons, any other 50 microseconds.
 */
export class Calendar {
  readonly #per: CalendarPeriod;
  readonly #zone: Zone;
  /** The last answer: nearly all questions are about the present. */
  #period: Period = { start: 0, end: 0 };

  constructor(per: CalendarPeriod, timeZone: string) {
    this.#per = per;
    this.#zone = new Zone(timeZone);
  }

  /** @returns the same object for all instants of a period, for as long as nobody asks about another */
  periodAt(wall: number): Period {
    const last = this.#period;
    if (wall >= last.start && wall < last.end) return last;
    this.#period = this.#per === 'hour' ? this.#hourAt(wall) : this.#datesAt(wall);
    return this.#period;
  }

  #hourAt(wall: number): Period {
    const local = wall + this.#zone.offsetAt(wall);
    const start = wall - modulo(local, hourMs);
    return this.#zone.uncut(start, wall, start + hourMs);
  }

  #datesAt(wall: number): Period {
    const date = this.#firstDate(wall + this.#zone.offsetAt(wall));
    let start = this.#zone.startOf(date);
    let next = this.#nextDate(date);
    let end = this.#zone.startOf(next);
    // Where the clocks have gone back over midnight, they show yesterday's date again: today has begun all the same.
    while (end <= wall) {
      next = this.#nextDate(next);
      start = end;
      end = this.#zone.startOf(next);
    }
    return { start, end };
  }

  /** Local midnights are written as if they were in UTC. */
  #firstDate(local: number): number {
    const date = local - modulo(local, dayMs);
    if (this.#per === 'week') return date - modulo(date / dayMs + 3, 7) * dayMs; // 1 January 1970 was a Thursday
    return this.#per === 'month' ? date - (dayOfMonth(date) - 1) * dayMs : date;
  }

  #nextDate(date: number): number {
    if (this.#per === 'week') return date + 7 * dayMs;
    if (this.#per === 'day') return date + dayMs;
    const inNext = date + 31 * dayMs;
    return inNext - (dayOfMonth(inNext) - 1) * dayMs;
  }
}

/** What the clocks of a time zone show. */
class Zone {
  readonly #format: Intl.DateTimeFormat | undefined;

  constructor(timeZone: string) {
    if (timeZone === 'UTC') return;
    const number = 'numeric';
    this.#format = new Intl.DateTimeFormat('en-US', {
      ...{ timeZone, calendar: 'gregory', numberingSystem: 'latn', hourCycle: 'h23' },
      ...{ year: number, month: number, day: number, hour: number, minute: number, second: number },
    });
  }

  /** How far its clocks are ahead of UTC, in milliseconds. */
  offsetAt(wall: number): number {
    if (this.#format === undefined) return 0;
    const shown: Record<string, number> = {};
    for (const { type, value } of this.#format.formatToParts(wall)) shown[type] = Number(value);
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = shown;
    return Date.UTC(year, month - 1, day, hour, minute, second) - (wall - modulo(wall, 1_000));
  }

  /** The first instant of a date, or of the next one where it was left out. */
  startOf(date: number): number {
    const before = this.offsetAt(date - dayMs);
    const after = this.offsetAt(date + dayMs);
    for (const start of [date - Math.max(before, after), date - Math.min(before, after)])
      if (start + this.offsetAt(start) === date) return start;
    return this.#changeIn(date - after, date - before);
  }

  /** An hour around an instant, without what a change of the clocks cuts off. */
  uncut(start: number, wall: number, end: number): Period {
    const offset = this.offsetAt(wall);
    return {
      start: this.offsetAt(start) === offset ? start : this.#changeIn(start, wall),
      end: this.offsetAt(end - 1) === offset ? end : this.#changeIn(wall, end - 1),
    };
  }

  /** The instant at which the clocks change, after `low` and not after `high`. */
  #changeIn(low: number, high: number): number {
    const offset = this.offsetAt(high);
    let before = low;
    let from = high;
    while (from - before > 1) {
      const middle = Math.floor((before + from) / 2);
      if (this.offsetAt(middle) === offset) from = middle;
      else before = middle;
    }
    return from;
  }
}

function modulo(value: number, by: number): number {
  return value - Math.floor(value / by) * by;
}

/** Of a midnight that is written as if it were in UTC. */
function dayOfMonth(date: number): number {
  return new Date(date).getUTCDate();
}
