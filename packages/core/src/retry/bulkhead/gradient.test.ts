import { describe, expect, it } from 'vitest';
import { type Random, seededRandom } from '../../kernel/index.js';
import { gradientFrom, placesOf, stepGradient } from './gradient.js';
import { AdaptiveLimit } from './limit.js';

const bounds = { min: 1, max: 200 };

interface Server {
  /** How many it serves at once; others wait there, first come first served. */
  places: number;
  serviceMs: number;
  /** Of the time of one service, to either side. */
  spread: number;
}

/** Callers without end, or `demand` of them, behind a limit and before a server. */
class Load {
  readonly limit: AdaptiveLimit;
  readonly server: Server;
  readonly #random: Random;
  readonly #demand: number;
  /** When each place of the server is free again. */
  #freeAt: number[] = [];
  #running: { readonly begunAt: number; readonly endsAt: number }[] = [];
  #now = 0;
  done = 0;

  constructor(server: Server, seed: number, initial = 20, demand = Number.POSITIVE_INFINITY) {
    this.server = server;
    this.#random = seededRandom(seed);
    this.#demand = demand;
    this.limit = new AdaptiveLimit(initial, bounds, () => {});
  }

  get now(): number {
    return this.#now;
  }

  run(calls: number): void {
    for (let left = calls; left > 0; left--) {
      while (this.#running.length < Math.min(this.limit.places, this.#demand)) this.#begin();
      const first = this.#running.reduce((a, b) => (a.endsAt <= b.endsAt ? a : b));
      this.#now = first.endsAt;
      this.limit.note(first.endsAt - first.begunAt, this.#running.length);
      this.#running.splice(this.#running.indexOf(first), 1);
      this.done++;
    }
  }

  /** The mean limit over so many calls. */
  meanOver(calls: number): number {
    let sum = 0;
    for (let left = calls; left > 0; left--) {
      this.run(1);
      sum += this.limit.places;
    }
    return sum / calls;
  }

  #begin(): void {
    const { places, serviceMs, spread } = this.server;
    while (this.#freeAt.length < places) this.#freeAt.push(0);
    this.#freeAt.length = places;
    const place = this.#freeAt.indexOf(Math.min(...this.#freeAt));
    const ms = serviceMs * (1 + spread * (2 * this.#random() - 1));
    const endsAt = Math.max(this.#now, this.#freeAt[place] ?? 0) + ms;
    this.#freeAt[place] = endsAt;
    this.#running.push({ begunAt: this.#now, endsAt });
  }
}

describe('a limit that follows the gradient of the time of calls', () => {
  const cases = [5, 10, 20, 60].flatMap((places) => [0, 0.5].map((spread) => [places, spread] as const));
  it.each(cases)(
    'comes near the %i places of a server whose times vary by %d, stays there and keeps it busy',
    (places, spread) => {
      for (const initial of [2, 20, 200]) {
        const load = new Load({ places, serviceMs: 100, spread }, places + initial, initial);
        load.run(10_000 + 500 * places);
        const { done: doneBefore, now: before } = load;
        const mean = load.meanOver(1_000 * places);
        expect(mean / places).toBeGreaterThan(0.9);
        expect(mean).toBeLessThan(places + Math.max(0.3 * places, 2));
        const mostPerMs = places / 100;
        expect((load.done - doneBefore) / (load.now - before) / mostPerMs).toBeGreaterThan(0.95);
      }
    },
  );

  it('backs off when a call takes twice as long, and finds its way back when that turns out to be so', () => {
    const server = { places: 20, serviceMs: 100, spread: 0.2 };
    const load = new Load(server, 1);
    load.run(20_000);
    const before = load.meanOver(200);
    server.serviceMs = 200;
    const during = Array.from({ length: 10 }, () => load.meanOver(50));
    expect(Math.min(...during) / before).toBeLessThan(0.6);
    load.run(5_000);
    const after = load.meanOver(2_000);
    expect(after / before).toBeGreaterThan(0.85);
    expect(after / before).toBeLessThan(1.15);
  });

  it('follows a server that loses half of its places', () => {
    const server = { places: 40, serviceMs: 100, spread: 0.2 };
    const load = new Load(server, 2);
    load.run(20_000);
    server.places = 20;
    load.run(10_000);
    const mean = load.meanOver(5_000);
    expect(mean / 20).toBeGreaterThan(0.9);
    expect(mean / 20).toBeLessThan(1.3);
  });

  it('does not grow while less than half of it is in use', () => {
    const load = new Load({ places: 50, serviceMs: 100, spread: 0.2 }, 3, 20, 8);
    load.run(20_000);
    expect(load.limit.places).toBeLessThanOrEqual(20);
    expect(load.limit.places).toBeGreaterThanOrEqual(10);
  });

  it('says the same under the same seed', () => {
    const run = (seed: number): number => {
      const load = new Load({ places: 10, serviceMs: 100, spread: 0.5 }, seed);
      load.run(5_000);
      return load.now;
    };
    expect(run(4)).toBe(run(4));
    expect(run(4)).not.toBe(run(5));
  });
});

describe('one step of the gradient', () => {
  const calm = { limit: 36, longMs: 100, steps: 50, probedAt: 36 };

  it('grows by a fifth of a third of the square root while calls take no longer', () => {
    expect(stepGradient(calm, 100, 36, bounds)).toEqual({ ...calm, limit: 36.4, steps: 51 });
  });

  it('takes a call that is a tenth slower for chance', () => {
    expect(stepGradient(calm, 110, 36, bounds).limit).toBeCloseTo(36.4, 1);
  });

  it('falls by a tenth at the most, however slow a call is', () => {
    expect(stepGradient(calm, 1e6, 36, bounds).limit).toBeCloseTo(36 * 0.9 + 0.4, 6);
  });

  it('stays within its bounds', () => {
    expect(stepGradient(calm, 100, 36, { min: 1, max: 36 }).limit).toBe(36);
    expect(stepGradient(calm, 1e6, 36, { min: 36, max: 99 }).limit).toBe(36);
    expect(placesOf({ ...calm, steps: 0 }, { min: 30, max: 36 })).toBe(30);
  });

  it('halves the places for two steps of a hundred, and takes the second as the long-term time', () => {
    let state = calm;
    const seen: (readonly [number, number])[] = [];
    for (let step = 0; step < 100; step++) {
      const places = placesOf(state, { min: 1, max: 36 });
      state = stepGradient(state, places === 18 ? 90 : 100, 36, { min: 1, max: 36 });
      if (places === 18) seen.push([state.steps, state.longMs]);
    }
    expect(seen).toEqual([
      [1, 100],
      [2, 90],
    ]);
  });

  it('measures again before long where the time was much shorter than it was thought to be', () => {
    expect(stepGradient({ ...calm, steps: 1 }, 50, 18, bounds)).toEqual({ ...calm, longMs: 50, steps: 92 });
    expect(stepGradient({ ...calm, steps: 1 }, 300, 18, bounds)).toEqual({ ...calm, longMs: 300, steps: 2 });
  });

  it('measures again at once when the limit has come down to half', () => {
    expect(stepGradient({ ...calm, limit: 18.5 }, 300, 18, bounds).steps).toBe(0);
    expect(stepGradient({ ...calm, limit: 21 }, 300, 18, bounds).steps).toBe(51);
  });

  it('measures before long when it begins, and takes the first time as the long-term one', () => {
    const state = stepGradient(gradientFrom(20), 80, 20, bounds);
    expect(state).toEqual({ limit: 20, longMs: 80, steps: 93, probedAt: 20 });
  });

  it('forgets a long-term time of twice what calls take at a twentieth a step', () => {
    expect(stepGradient({ ...calm, longMs: 300 }, 100, 36, bounds).longMs).toBeLessThan(286);
  });
});
