import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairQueue } from './fair-queue.js';
import type { Queued } from './queued.js';

interface Request extends Queued {
  readonly name: string;
}

let sequence = 0;

function request(
  tenant: string,
  { cost = 1, weight = 1, due = Number.POSITIVE_INFINITY, name = tenant } = {},
): Request {
  const places = [-1, -1, -1];
  return { name, tenant, cost, weight, due, amounts: [cost], priority: 0, sequence: sequence++, riseAt: 0, places };
}

function queueOf(...requests: Request[]): FairQueue<Request> {
  const queue = new FairQueue<Request>();
  for (const each of requests) queue.add(each);
  return queue;
}

function serve(queue: FairQueue<Request>, times = Number.POSITIVE_INFINITY): Request[] {
  const served: Request[] = [];
  for (let next = queue.next; next !== undefined && served.length < times; next = queue.next) {
    queue.begin();
    queue.serve(next);
    served.push(next);
  }
  return served;
}

const namesOf = (requests: readonly Request[]): string => requests.map(({ name }) => name).join(' ');
const many = (count: number, tenant: string, shape: { cost?: number; weight?: number } = {}): Request[] =>
  Array.from({ length: count }, () => request(tenant, shape));

describe('FairQueue', () => {
  it('takes turns, whoever has come first with many', () => {
    const queue = queueOf(...many(3, 'a'), ...many(3, 'b'), ...many(2, 'c'));
    expect(namesOf(serve(queue))).toBe('a b c a b c a b');
    expect(queue.tenants).toBe(0);
  });

  it('gives a tenant of weight 3 three turns for one of weight 1, mixed', () => {
    const queue = queueOf(...many(100, 'light', { weight: 1 }), ...many(100, 'heavy', { weight: 3 }));
    const served = serve(queue, 100).map(({ tenant }) => tenant);
    expect(served.filter((tenant) => tenant === 'heavy')).toHaveLength(75);
    for (let from = 0; from < 96; from += 4)
      expect(served.slice(from, from + 4).filter((tenant) => tenant === 'heavy').length).toBeGreaterThan(1);
  });

  it('serves large requests in their turn: shares are of what is handed out, not of turns', () => {
    const queue = queueOf(...many(5, 'large', { cost: 4 }), ...many(20, 'small'));
    expect(namesOf(serve(queue, 10))).toBe('small small small large small small small small large small');
  });

  it('puts the earliest due of a tenant first, then who came first', () => {
    const [late, never, soon, soonToo] = [
      request('a', { due: 30, name: 'late' }),
      request('a', { name: 'never' }),
      request('a', { due: 10, name: 'soon' }),
      request('a', { due: 10, name: 'soon too' }),
    ];
    expect(namesOf(serve(queueOf(late, never, soon, soonToo)))).toBe('soon soon too late never');
  });

  it('lets nobody gain by leaving and coming back, nor by being many times new', () => {
    const queue = queueOf(...many(50, 'patient'), request('hasty'));
    const served: string[] = [];
    for (let turn = 0; turn < 50; turn++) {
      const [next] = serve(queue, 1);
      served.push(next?.tenant ?? '');
      if (next?.tenant === 'hasty') queue.add(request('hasty'));
    }
    expect(served.filter((tenant) => tenant === 'hasty')).toHaveLength(25);
  });

  it('remembers what was served out of turn, though its tenant has nothing left', () => {
    const early = request('b', { cost: 3 });
    const queue = queueOf(...many(4, 'a'), early);
    queue.serve(early);
    queue.add(request('b'));
    expect(namesOf(serve(queue))).toBe('a a a a b');
  });

  it('lets no tenant that comes anew before one whose turn has begun, however small its requests are', () => {
    const large = request('large', { cost: 100 });
    const queue = queueOf(large);
    queue.begin();
    for (let tenant = 0; tenant < 50; tenant++) queue.add(request(`new ${tenant}`, { cost: 0.01 }));
    expect(queue.next).toBe(large);
  });

  it('charges a tenant nothing for what has left', () => {
    const gone = request('a', { cost: 50 });
    const queue = queueOf(gone, ...many(2, 'a'), ...many(2, 'b'));
    queue.remove(gone);
    expect(namesOf(serve(queue))).toBe('a b a b');
  });

  it('uses a new weight for what is next', () => {
    const queue = queueOf(...many(3, 'a'), ...many(9, 'b'));
    queue.add(request('b', { weight: 3 }));
    expect(namesOf(serve(queue, 8)).match(/b/g)).toHaveLength(6);
  });

  it('keeps any two tenants that wait all the while within one request of each, whatever the sizes and weights', () => {
    const tenant = fc.record({
      weight: fc.constantFrom(0.25, 1, 2, 3, 10),
      costs: fc.array(fc.double({ min: 0.01, max: 8, noNaN: true }), { minLength: 30, maxLength: 30 }),
    });
    fc.assert(
      fc.property(fc.array(tenant, { minLength: 2, maxLength: 6 }), (tenants) => {
        const queue = new FairQueue<Request>();
        for (const [index, { weight, costs }] of tenants.entries())
          for (const cost of costs) queue.add(request(`${index}`, { cost, weight }));
        const left = tenants.map(({ costs }) => costs.length);
        const given = tenants.map(() => 0);
        const largest = tenants.map(({ costs, weight }) => Math.max(...costs) / weight);
        while (left.every((count) => count > 0)) {
          const [next] = serve(queue, 1);
          const index = Number(next?.tenant);
          left[index] = (left[index] ?? 0) - 1;
          given[index] = (given[index] ?? 0) + (next?.cost ?? 0) / (tenants[index]?.weight ?? 0);
          const apart = given.flatMap((one, i) =>
            given.map((other, j) => Math.abs(one - other) - (largest[i] ?? 0) - (largest[j] ?? 0)),
          );
          expect(Math.max(...apart)).toBeLessThanOrEqual(1e-9);
        }
      }),
    );
  });

  it('says what is before a newcomer, and too much by less than one request of each tenant', () => {
    const cost = fc.double({ min: 0.1, max: 5, noNaN: true });
    const due = fc.constantFrom(1, 2, 3, Number.POSITIVE_INFINITY);
    const shape = fc.record({ tenant: fc.constantFrom('a', 'b', 'c', 'd'), cost, due });
    fc.assert(
      fc.property(
        fc.array(shape, { maxLength: 40, size: 'max' }),
        fc.nat({ max: 10 }),
        shape,
        (shapes, turns, last) => {
          const weights: Record<string, number> = { a: 1, b: 0.5, c: 3, d: 1 };
          const made = ({ tenant, ...rest }: typeof last): Request =>
            request(tenant, { ...rest, weight: weights[tenant] ?? 1 });
          const queue = queueOf(...shapes.map(made));
          serve(queue, turns);
          const newcomer = made(last);
          const sums = [0];
          queue.addAhead(newcomer, sums);
          queue.begin();
          queue.add(newcomer);
          const served = serve(queue);
          const before = served.slice(0, served.indexOf(newcomer)).reduce((sum, each) => sum + each.cost, 0);
          const tolerance = 4 * Math.max(last.cost, ...shapes.map((each) => each.cost));
          expect((sums[0] ?? 0) - before).toBeGreaterThan(-1e-9);
          expect((sums[0] ?? 0) - before).toBeLessThan(tolerance + 1e-9);
        },
      ),
    );
  });

  it('knows exactly what is before the last of a long queue', () => {
    const queue = new FairQueue<Request>();
    for (let due = 0; due < 5_000; due++) queue.add(request('a', { cost: 1 + (due % 13), due }));
    const sums = [0, 0];
    queue.addAll(sums);
    queue.addAhead(request('a'), sums);
    expect(sums[0]).toBe(
      2 * Array.from({ length: 5_000 }, (_, due) => 1 + (due % 13)).reduce((sum, each) => sum + each),
    );
  });

  it('adds up nothing once everybody has left, whatever is lost in sums of fractions', () => {
    for (let size = 1; size < 100; size++) {
      const queue = queueOf(...Array.from({ length: size }, (_, index) => request('a', { cost: 1 / (index + 3) })));
      serve(queue);
      const sums = [0];
      queue.addAll(sums);
      queue.addAhead(request('c'), sums);
      expect(sums).toEqual([0]);
    }
  });
});
