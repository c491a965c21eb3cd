import { describe, expect, it } from 'vitest';
import { type Ask, livesThrough, type World } from '../../test/policy-world.js';
import { type BreakerPolicy, breaker } from './breaker/index.js';
import { bulkhead } from './bulkhead/index.js';
import {
  type Fallback,
  fallback,
  type Hedge,
  hedge,
  type Policy,
  retry,
  type Step,
  timeout,
  type Work,
  wrap,
} from './index.js';

const callers = 150;
const seeds = [15, 30, 33, 59, 60, 68];

// The budget comes with the context of each call.
const retrying = ({ clock, random, onEvent }: World): Policy =>
  retry({ clock, random, onEvent, attempts: 4, baseDelay: 50, maxDelay: '1s' });
const breaking = ({ clock, random, onEvent }: World): BreakerPolicy =>
  breaker({ clock, random, onEvent, consecutive: 4, pause: 300 });
/** Nobody waits in it, so that whatever is begun reaches the backend or is refused. */
const crowding = ({ clock, onEvent }: World): Policy => bulkhead({ clock, onEvent, maxConcurrent: 2 });
const timing = ({ clock }: World, after = 300): Policy => timeout({ after, clock });
const hedging = ({ clock, onEvent }: World): Hedge => hedge({ clock, onEvent, after: 100 });
const falling = ({ clock, onEvent }: World): Fallback => fallback({ clock, onEvent });

type WorkAt = (backend: number) => Work<string>;

/** One step a backend, each behind what `policyOf` gives it. */
const stepsOf = (workAt: WorkAt, policies: readonly (Policy & { readonly state?: string })[] = []): Step<string>[] =>
  [0, 1, 2].map((backend) => {
    const policy = policies[backend];
    return { name: `backend ${backend}`, run: workAt(backend), timeout: '2s', ...(policy && { policy }) };
  });

const one =
  (policy: Policy): Ask =>
  (workAt, call) =>
    policy(workAt(0), call);

const three = <T>(make: () => T): readonly [T, T, T] => [make(), make(), make()];

/** By name, how each pair is put together, the outer one first. */
const pairs: Readonly<Record<string, (world: World) => Ask>> = {
  retry: (world) => one(retrying(world)),
  'retry x breaker': (world) => one(wrap(retrying(world), breaking(world))),
  'breaker x retry': (world) => one(wrap(breaking(world), retrying(world))),
  'retry x timeout': (world) => one(wrap(retrying(world), timing(world))),
  'timeout x retry': (world) => one(wrap(timing(world, 1_000), retrying(world))),
  'retry x bulkhead': (world) => one(wrap(retrying(world), crowding(world))),
  'bulkhead x retry': (world) => one(wrap(crowding(world), retrying(world))),
  'retry x breaker x bulkhead': (world) => one(wrap(retrying(world), breaking(world), crowding(world))),
  'retry x bulkhead x timeout x breaker': (world) =>
    one(wrap(retrying(world), crowding(world), timing(world), breaking(world))),
  'retry x retry': (world) => one(wrap(retrying(world), retrying(world))),
  'retry x hedge': (world) => {
    const outer = retrying(world);
    const inner = hedging(world);
    return (workAt, call) => outer((attempt) => inner(stepsOf(workAt), attempt), call);
  },
  'hedge x retry': (world) => {
    const outer = hedging(world);
    const policies = three(() => retrying(world));
    return (workAt, call) => outer(stepsOf(workAt, policies), call);
  },
  'retry x fallback': (world) => {
    const outer = retrying(world);
    const inner = falling(world);
    return (workAt, call) => outer((attempt) => inner(stepsOf(workAt), attempt), call);
  },
  'fallback x retry': (world) => {
    const outer = falling(world);
    const policies = three(() => retrying(world));
    return (workAt, call) => outer(stepsOf(workAt, policies), call);
  },
  'timeout x fallback': (world) => {
    const outer = timing(world, 500);
    const inner = falling(world);
    return (workAt, call) => outer((attempt) => inner(stepsOf(workAt), attempt), call);
  },
  'timeout x hedge': (world) => {
    const outer = timing(world, 500);
    const inner = hedging(world);
    return (workAt, call) => outer((attempt) => inner(stepsOf(workAt), attempt), call);
  },
  'hedge x fallback': (world) => {
    const outer = hedging(world);
    const inner = falling(world);
    const chain = (workAt: WorkAt, from: number): Work<string> => {
      const steps = stepsOf(workAt).slice(from);
      return async (call) => (await inner(steps, call)).value;
    };
    return (workAt, call) =>
      outer(
        [0, 1].map((from) => ({ name: `chain ${from}`, run: chain(workAt, from) })),
        call,
      );
  },
  'fallback x hedge': (world) => {
    const outer = falling(world);
    const inner = hedging(world);
    const race: (workAt: WorkAt) => Work<string> = (workAt) => async (call) =>
      (await inner(stepsOf(workAt).slice(1), call)).value;
    return (workAt, call) =>
      outer(
        [
          { name: 'race', run: race(workAt) },
          { name: 'last', run: workAt(0) },
        ],
        call,
      );
  },
  'hedge x breaker': (world) => {
    const outer = hedging(world);
    const policies = three(() => breaking(world));
    return (workAt, call) => outer(stepsOf(workAt, policies), call);
  },
  'fallback x breaker': (world) => {
    const outer = falling(world);
    const policies = three(() => breaking(world));
    return (workAt, call) => outer(stepsOf(workAt, policies), call);
  },
  'all of them': (world) => {
    const outer = wrap(timing(world, 3_000), retrying(world));
    const chain = falling(world);
    const race = hedging(world);
    const policies = three(() => wrap(retrying(world), breaking(world), timing(world)));
    const raced: (workAt: WorkAt) => Work<string> = (workAt) => async (call) =>
      (await race(stepsOf(workAt, policies), call)).value;
    return (workAt, call) =>
      outer(
        (attempt) =>
          chain(
            [
              { name: 'race', run: raced(workAt) },
              { name: 'last', run: workAt(2) },
            ],
            attempt,
          ),
        call,
      );
  },
};

/** Attempts of one call: a retry makes four, and none in the place of another that tries again. */
const most: Readonly<Record<string, number>> = {
  retry: 4,
  'retry x retry': 4,
  'retry x breaker x bulkhead': 4,
  'hedge x breaker': 2,
  'timeout x hedge': 2,
  'timeout x fallback': 3,
  'fallback x breaker': 3,
};

describe.each(Object.entries(pairs))('%s', (name, make) => {
  it.each(seeds)('keeps to budget, ledger, deadline and caller, and says what it did (seed %i)', async (seed) => {
    const seen = await livesThrough(make, seed, callers);
    expect(seen.faults).toEqual([]);
    expect(seen.physical - seen.served).toBeLessThanOrEqual(seen.granted);
    expect(seen.mostOfOne).toBeLessThanOrEqual(most[name] ?? Number.POSITIVE_INFINITY);
    expect(seen.reported).toBe(seen.physical);
    expect(seen.succeeded).toBeGreaterThan(0);
  });
});
