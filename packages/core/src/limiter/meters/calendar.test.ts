import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { periodLabel } from '../../../test/limiter-oracle.js';
import { Calendar, calendarOf } from './calendar.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Where a period begins and ends, in UTC, for a calendar that was asked about no other. */
function periodOf(per: 'hour' | 'day' | 'week' | 'month', timeZone: string, at: string): [string, string] {
  const { start, end } = new Calendar(per, timeZone).periodAt(Date.parse(at));
  return [new Date(start).toISOString().slice(0, 16), new Date(end).toISOString().slice(0, 16)];
}

describe('calendarOf', () => {
  it('has one calendar for each period and zone', () => {
    expect(calendarOf('day', 'UTC')).toBe(calendarOf('day', 'UTC'));
    expect(calendarOf('day', 'Asia/Kolkata')).not.toBe(calendarOf('day', 'UTC'));
    expect(() => calendarOf('day', 'Mars/Olympus')).toThrow(RangeError);
  });
});

describe('Calendar', () => {
  it('begins and ends where the name of the period changes, in every zone and whatever is asked about first', () => {
    const zone = fc.constantFrom('UTC', ...Intl.supportedValuesOf('timeZone'));
    const per = fc.constantFrom('hour', 'day', 'week', 'month');
    const instant = fc.integer({ min: Date.UTC(1970, 0, 2), max: Date.UTC(2040, 0, 1) });
    fc.assert(
      fc.property(zone, per, fc.array(instant, { maxLength: 5, size: 'max' }), (zone, per, instants) => {
        const label = (at: number) => periodLabel(at, per, zone);
        for (const wall of instants) {
          const { start, end } = calendarOf(per, zone).periodAt(wall);
          expect(start).toBeLessThanOrEqual(wall);
          expect(end).toBeGreaterThan(wall);
          expect([label(start), label(end - 1)]).toEqual([label(wall), label(wall)]);
          expect(label(start - 1)).not.toBe(label(wall));
          expect(label(end)).not.toBe(label(wall));
        }
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['America/Los_Angeles', '2026-03-08', 23],
    ['America/Los_Angeles', '2026-11-01', 25],
    ['Europe/Berlin', '2026-03-29', 23],
    ['Europe/Berlin', '2026-10-25', 25],
    ['Asia/Kolkata', '2026-03-29', 24],
    ['Australia/Lord_Howe', '2026-04-05', 24.5],
  ])('gives %s on %s a day of %d hours', (zone, date, hours) => {
    const { start, end } = calendarOf('day', zone).periodAt(Date.parse(`${date}T12:00Z`));
    expect((end - start) / hourMs).toBe(hours);
  });

  it('follows a zone for fifteen years without a gap', () => {
    for (const zone of ['Pacific/Apia', 'America/St_Johns', 'Africa/Casablanca']) {
      const days = calendarOf('day', zone);
      let { end } = days.periodAt(Date.UTC(2000, 0, 1));
      for (let day = 0; day < 5_500; day++) {
        const next = days.periodAt(end);
        expect(next.start).toBe(end);
        end = next.end;
      }
    }
  });

  it('leaves out the day that Apia left out', () => {
    expect(periodOf('day', 'Pacific/Apia', '2011-12-30T09:59Z')).toEqual(['2011-12-29T10:00', '2011-12-30T10:00']);
    expect(periodOf('day', 'Pacific/Apia', '2011-12-30T10:00Z')).toEqual(['2011-12-30T10:00', '2011-12-31T10:00']);
  });

  it('begins a day with its first instant, where the clocks skip midnight and where they go back over it', () => {
    expect(periodOf('day', 'America/Sao_Paulo', '2017-10-15T12:00Z')[0], 'at 01:00').toBe('2017-10-15T03:00');
    const sunday = ['2010-11-07T02:30', '2010-11-08T03:30'];
    expect(periodOf('day', 'America/St_Johns', '2010-11-07T02:30Z')).toEqual(sunday);
    expect(periodOf('day', 'America/St_Johns', '2010-11-07T03:00Z'), 'Saturday 23:30 again').toEqual(sunday);
  });

  it('knows hours that begin at half past, and two where a change of half an hour cuts one', () => {
    expect(periodOf('hour', 'Asia/Kolkata', '2026-01-01T12:29Z')).toEqual(['2026-01-01T11:30', '2026-01-01T12:30']);
    expect(periodOf('hour', 'Australia/Lord_Howe', '2026-04-04T14:45Z')).toEqual([
      '2026-04-04T14:00',
      '2026-04-04T15:00',
    ]);
    expect(periodOf('hour', 'Australia/Lord_Howe', '2026-04-04T15:10Z')).toEqual([
      '2026-04-04T15:00',
      '2026-04-04T15:30',
    ]);
    expect(periodOf('hour', 'America/Caracas', '2016-05-01T06:45Z')).toEqual(['2016-05-01T06:30', '2016-05-01T07:00']);
  });

  it('begins weeks on Monday and months on their first', () => {
    expect(periodOf('week', 'UTC', '2026-03-08T23:59Z')).toEqual(['2026-03-02T00:00', '2026-03-09T00:00']);
    expect(periodOf('week', 'Europe/Berlin', '2026-03-29T12:00Z')).toEqual(['2026-03-22T23:00', '2026-03-29T22:00']);
    expect(periodOf('month', 'UTC', '2024-02-29T12:00Z')).toEqual(['2024-02-01T00:00', '2024-03-01T00:00']);
    expect(periodOf('month', 'Europe/Berlin', '2026-12-31T12:00Z')).toEqual(['2026-11-30T23:00', '2026-12-31T23:00']);
  });

  it('answers about the period that was asked about last with the same object', () => {
    const days = calendarOf('day', 'Europe/Paris');
    const { start, end } = days.periodAt(Date.UTC(2026, 5, 1));
    expect(days.periodAt(end - 1)).toBe(days.periodAt(start));
    expect(end - start).toBe(dayMs);
  });
});
