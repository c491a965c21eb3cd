import { AsyncLocalStorage } from 'node:async_hooks';
import { expect, it } from 'vitest';
import { type AttemptBudget, currentContext, runInContext } from '../kernel/index.js';
import { createFakeClock } from '../testing/index.js';
import { type BatcherOptions, createBatcher } from './index.js';

/** Two tenants ask for one item each, and the batch of the second begins when the call of the first ends. */
async function twoTenants(look: () => void, options: BatcherOptions<number> = {}): Promise<void> {
  const clock = createFakeClock();
  const batcher = createBatcher<number, number>(
    async (items) => {
      look();
      await new Promise<void>((resolve) => void clock.schedule(10, resolve));
      if (items.includes(3)) throw Object.assign(new Error('bad'), { status: 400 });
      return [...items];
    },
    { clock, maxConcurrent: 1, ...options },
  );
  const as = (tenant: string, item: number) =>
    runInContext({ tenant, attributes: { user: tenant }, budget: budgets[tenant] }, () => batcher.loadSettled([item]));
  const first = as('a', 1);
  await clock.settle();
  const second = as('b', 3);
  await clock.advance(1_000);
  await Promise.all([first, second]);
}

const budgets: Readonly<Record<string, AttemptBudget>> = {
  a: { deposit() {}, withdraw: () => true },
  b: { deposit() {}, withdraw: () => true },
};

const nameOf = (budget: AttemptBudget | undefined) => Object.keys(budgets).find((name) => budgets[name] === budget);

it('a batch has the tenant and the budget of its own callers, whoever has made room for it', async () => {
  const seen: unknown[] = [];
  await twoTenants(() => seen.push([currentContext()?.tenant, nameOf(currentContext()?.budget)]));
  expect(seen).toEqual([
    ['a', 'a'],
    ['b', 'b'],
  ]);
});

it('listeners and classify run as the tenant of the batch, with nobody’s attributes', async () => {
  const seen: unknown[] = [];
  const look = () => void seen.push([currentContext()?.tenant, currentContext()?.attributes]);
  await twoTenants(() => {}, {
    onEvent: look,
    classify: () => {
      look();
      return undefined;
    },
  });
  expect(seen).toEqual([
    ['a', {}],
    ['b', {}],
    ['b', {}],
  ]);
});

it('a batch does not run in what the application keeps for another caller', async () => {
  const clock = createFakeClock();
  const user = new AsyncLocalStorage<string>();
  const seen: unknown[] = [];
  const batcher = createBatcher<number, number>(
    async (items) => {
      seen.push(user.getStore());
      await new Promise<void>((resolve) => void clock.schedule(10, resolve));
      return [...items];
    },
    { clock, maxConcurrent: 1 },
  );
  const loads = ['a', 'b', 'c'].map((name, item) =>
    user.run(name, () => runInContext({ tenant: name }, () => batcher.load(item))),
  );
  await clock.advance(100);
  await Promise.all(loads);
  expect(seen).toEqual([undefined, undefined, undefined]);
});
