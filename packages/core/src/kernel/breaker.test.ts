import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Breaker, type BreakerState } from './breaker.js';

/** The same promises with nothing clever: every outcome since the breaker last closed is kept in a list. */
class ObviousBreaker {
  state: BreakerState = 'closed';
  #outcomes: boolean[] = [];
  #pauseMs = 1_000;
  #openUntil = 0;

  allows(now: number): boolean {
    if (this.state !== 'open') return this.state === 'closed';
    if (now < this.#openUntil) return false;
    this.state = 'half-open';
    return true;
  }

  record(isGood: boolean, now: number): void {
    if (this.state === 'open') return;
    if (this.state === 'half-open') {
      this.#outcomes = [];
      if (isGood) this.state = 'closed';
      else this.#open(now);
      return;
    }
    this.#outcomes.push(isGood);
    const failed = (last: number): number => this.#outcomes.slice(-last).filter((outcome) => !outcome).length;
    if (failed(5) === 5 || failed(20) >= 10) this.#open(now);
    else if (this.#outcomes.length >= 20 && failed(20) === 0) this.#pauseMs = 1_000;
  }

  #open(now: number): void {
    this.state = 'open';
    this.#openUntil = now + this.#pauseMs;
    this.#pauseMs = Math.min(30_000, 2 * this.#pauseMs);
  }
}

function failTimes(breaker: Breaker, times: number, now: number): void {
  for (let time = 0; time < times; time++) breaker.record(false, now);
}

/** Opens a closed breaker at `now`, and lets probes fail until it pauses for 30 s. @returns when its pause is over */
function openForLong(breaker: Breaker, now: number): number {
  failTimes(breaker, 5, now);
  let at = now;
  for (const pauseMs of [1_000, 2_000, 4_000, 8_000, 16_000]) {
    at += pauseMs;
    expect(breaker.allows(at)).toBe(true);
    breaker.record(false, at);
  }
  return at + 30_000;
}

describe('a breaker', () => {
  it('opens after five failures in a row, and not after four', () => {
    const breaker = new Breaker();
    failTimes(breaker, 4, 0);
    breaker.record(true, 0);
    failTimes(breaker, 4, 0);
    expect(breaker.allows(0)).toBe(true);
    breaker.record(false, 0);
    expect(breaker.state).toBe('open');
    expect(breaker.allows(999)).toBe(false);
  });

  it('opens when half of the last twenty calls have failed, though never five in a row', () => {
    const breaker = new Breaker();
    for (let call = 0; call < 18; call++) breaker.record(call % 2 === 0, 0);
    expect(breaker.state).toBe('closed');
    breaker.record(true, 0);
    breaker.record(false, 0);
    expect(breaker.state).toBe('open');
  });

  it('stays closed for good when nine of any twenty calls fail', () => {
    const breaker = new Breaker();
    for (let call = 0; call < 10_000; call++) breaker.record(call % 20 >= 18 || call % 2 === 0, call);
    expect(breaker.state).toBe('closed');
  });

  it('lets one probe through after its pause; its success closes it', () => {
    const breaker = new Breaker();
    failTimes(breaker, 5, 0);
    expect([breaker.isPausing(999), breaker.allows(999)]).toEqual([true, false]);
    expect([breaker.isPausing(1_000), breaker.allows(1_000)]).toEqual([false, true]);
    expect([breaker.state, breaker.allows(1_000), breaker.allows(50_000)]).toEqual(['half-open', false, false]);
    breaker.record(true, 50_000);
    expect([breaker.state, breaker.allows(50_000)]).toEqual(['closed', true]);
  });

  it('pauses for twice as long after each probe that fails, up to 30 seconds', () => {
    const breaker = new Breaker();
    failTimes(breaker, 5, 0);
    const pauses: number[] = [];
    let openedAt = 0;
    for (let now = 0; pauses.length < 8; now += 500) {
      if (!breaker.allows(now)) continue;
      pauses.push(now - openedAt);
      openedAt = now;
      breaker.record(false, now);
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it.each([
    [19, 30_000],
    [20, 1_000],
  ])('pauses after %i good calls for %i ms again', (goodCalls, pauseMs) => {
    const breaker = new Breaker();
    const now = openForLong(breaker, 0);
    expect(breaker.allows(now)).toBe(true);
    breaker.record(true, now);
    for (let call = 0; call < goodCalls; call++) breaker.record(true, now);
    failTimes(breaker, 10, now);
    expect([breaker.isPausing(now + pauseMs - 1), breaker.isPausing(now + pauseMs)]).toEqual([true, false]);
  });

  it('takes no notice of calls that began before it opened', () => {
    const breaker = new Breaker();
    failTimes(breaker, 5, 0);
    breaker.record(true, 10);
    failTimes(breaker, 50, 20);
    expect(breaker.state).toBe('open');
    expect(breaker.allows(1_000)).toBe(true);
  });

  it('does what the obvious one does, whatever comes back when', () => {
    // Runs of one outcome, or neither the window nor the pause is ever seen to recover.
    const runOf = (isGood: boolean): fc.Arbitrary<boolean[]> =>
      fc.integer({ min: 3, max: 25 }).map((calls) => Array<boolean>(calls).fill(isGood));
    const mixed = fc.array(fc.boolean(), { minLength: 8, maxLength: 25, size: 'max' });
    const step = fc.oneof(
      {
        arbitrary: fc.record({ do: fc.constant('begin' as const), afterMs: fc.constantFrom(0, 0, 1_000, 30_000) }),
        weight: 2,
      },
      fc.record({ do: fc.constant('end' as const), isGood: fc.boolean() }),
      fc.record({
        do: fc.constant('burst' as const),
        afterMs: fc.constantFrom(0, 0, 0, 1, 500, 1_000, 2_000, 29_999, 30_000),
        outcomes: fc.oneof(runOf(true), runOf(false), mixed),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
        const breaker = new Breaker();
        const model = new ObviousBreaker();
        let now = 0;
        let underWay = 0;
        const begin = (): void => {
          const allows = model.allows(now);
          expect(breaker.allows(now)).toBe(allows);
          if (allows) underWay++;
        };
        const end = (isGood: boolean): void => {
          if (underWay === 0) return;
          underWay--;
          breaker.record(isGood, now);
          model.record(isGood, now);
        };
        for (const each of steps) {
          if ('afterMs' in each) now += each.afterMs;
          if (each.do === 'begin') begin();
          else if (each.do === 'end') end(each.isGood);
          else {
            for (const isGood of each.outcomes) {
              begin();
              end(isGood);
            }
          }
          expect(breaker.state).toBe(model.state);
        }
        // Whatever has happened: when all that is under way has come back, a call is let through within 30 seconds.
        while (underWay > 0) end(false);
        expect(breaker.allows(now + 30_000)).toBe(true);
      }),
      { numRuns: 2_000 },
    );
  });
});
