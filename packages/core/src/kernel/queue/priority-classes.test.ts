import { describe, expect, it } from 'vitest';
import { dueBy, PriorityClasses } from './priority-classes.js';
import type { Queued } from './queued.js';

interface Request extends Queued {
  readonly name: string;
}

let sequence = 0;

function request(name: string, shape: Partial<Request> = {}): Request {
  const places = [-1, -1, -1];
  const order = { priority: 5, due: Number.POSITIVE_INFINITY, sequence: sequence++, riseAt: 0, places };
  return { name, tenant: name, amounts: [1, 10], cost: 1, weight: 1, ...order, ...shape };
}

function serveAll(classes: PriorityClasses<Request>, now: number): string {
  const names: string[] = [];
  for (let next = classes.next(now); next !== undefined; next = classes.next(now)) {
    classes.serve(next, now);
    names.push(next.name);
  }
  return names.join(' ');
}

describe('PriorityClasses', () => {
  it('serve the most urgent first, whatever came first', () => {
    const classes = new PriorityClasses<Request>(Number.POSITIVE_INFINITY);
    for (const priority of [9, 3, 5, 0, 3]) classes.add(request(`p${priority}`, { priority }), 0);
    expect(serveAll(classes, 1e12)).toBe('p0 p3 p3 p5 p9');
    expect(classes.size).toBe(0);
  });

  it('let what waits rise by one class for each agingMs, at that instant', () => {
    const classes = new PriorityClasses<Request>(100);
    const old = request('old', { priority: 7 });
    classes.add(old, 0);
    const urgent = request('urgent', { priority: 5 });
    classes.add(urgent, 150);
    expect([classes.next(150), old.priority]).toEqual([urgent, 6]);
    expect([classes.next(199), old.priority]).toEqual([urgent, 6]);
    expect([classes.next(200), old.priority]).toEqual([urgent, 5]);
    expect([classes.next(250), urgent.priority]).toEqual([urgent, 4]);
    expect([classes.next(10_000), old.priority, urgent.priority]).toEqual([urgent, 0, 0]);
  });

  it('come to the same whether somebody looks all the while or only when something happens', () => {
    const orders = [true, false].map((isWatched) => {
      const classes = new PriorityClasses<Request>(10);
      const requests: Request[] = [];
      for (let now = 0; now < 200; now++) {
        if (isWatched) classes.next(now);
        if (now % 3 > 0) continue;
        const shape = { priority: (now * 7) % 10, tenant: `t${now % 4}`, cost: 1 + (now % 5) };
        const added = request(`${now}`, shape);
        classes.add(added, now);
        requests.push(added);
        const left = now % 7 === 5 ? requests.splice(now % requests.length, 1)[0] : undefined;
        if (left && now % 2 === 0) classes.serve(left, now);
        else if (left) classes.remove(left, now);
      }
      return serveAll(classes, 200);
    });
    expect(orders[0]).toBe(orders[1]);
  });

  it('let nobody be passed for ever, neither by what is more urgent nor by earlier deadlines of its own tenant', () => {
    const agingMs = 100;
    const classes = new PriorityClasses<Request>(agingMs);
    const patient = request('patient', { tenant: 'a', priority: 9, due: dueBy(Number.POSITIVE_INFINITY, 0, agingMs) });
    classes.add(patient, 0);
    let now = 0;
    for (let next = classes.next(now); next !== patient; next = classes.next(now)) {
      if (next) classes.serve(next, now);
      now += 10;
      for (const tenant of ['a', 'b']) {
        const due = dueBy(now + 50, now, agingMs);
        classes.add(request('pushing', { tenant, priority: 0, due }), now);
      }
      expect(now).toBeLessThan(12 * agingMs);
    }
  });

  it('say what is before a newcomer: all that is more urgent, its fair share of its class, nothing of the others', () => {
    const classes = new PriorityClasses<Request>(100);
    for (let i = 0; i < 4; i++) classes.add(request('urgent', { priority: 2, amounts: [3, 5] }), 0);
    for (let i = 0; i < 50; i++) classes.add(request('greedy', { due: 100 }), 0);
    for (let i = 0; i < 50; i++) classes.add(request('later', { priority: 6 }), 0);
    const ahead = (shape: Partial<Request>): number[] => classes.amountsAhead(request('x', shape), 0);
    const left = request('left', { priority: 2, amounts: [100, 1] });
    classes.add(left, 0);
    expect(ahead({ priority: 3 })).toEqual([112, 21]);
    classes.remove(left, 0);
    expect(ahead({ priority: 0 })).toEqual([0, 0]);
    expect(ahead({ priority: 3 })).toEqual([12, 20]);
    expect(ahead({ tenant: 'modest' })).toEqual([14, 40]);
    expect(ahead({ tenant: 'greedy' })).toEqual([62, 520]);
    expect(ahead({ tenant: 'greedy', due: 99 })).toEqual([12, 20]);
    classes.next(100);
    expect(ahead({ priority: 4, tenant: 'greedy' })).toEqual([62, 520]);
  });

  it('estimate what is before a newcomer where there are many tenants', () => {
    const classes = new PriorityClasses<Request>(Number.POSITIVE_INFINITY);
    for (let i = 0; i < 10_000; i++) classes.add(request('greedy'), 0);
    for (let i = 0; i < 300; i++) classes.add(request(`modest ${i}`), 0);
    for (let i = 0; i < 3; i++) classes.add(request('own'), 0);
    const [requests] = classes.amountsAhead(request('own'), 0);
    expect(requests).toBeGreaterThan(200);
    expect(requests).toBeLessThan(400);
  });
});
