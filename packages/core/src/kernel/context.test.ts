import { AsyncLocalStorage, createHook } from 'node:async_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../testing/index.js';
import {
  type AttemptBudget,
  type CallContext,
  createLedger,
  currentContext,
  joinSignals,
  remainingMs,
  runInContext,
  runShared,
} from './index.js';

const inside = (): CallContext => {
  const context = currentContext();
  if (!context) throw new Error('This runs outside of any context.');
  return context;
};

describe('runInContext', () => {
  it('gives the work nothing: it may be the `next` of a middleware', () => {
    const given: unknown[][] = [];
    runInContext({ tenant: 'a' }, (...args: unknown[]) => given.push(args));
    expect(given).toEqual([[]]);
  });

  it('gives work its context, and none outside of it', () => {
    expect(currentContext()).toBeUndefined();
    expect(runInContext({ tenant: 'acme' }, () => inside().tenant)).toBe('acme');
    expect(currentContext()).toBeUndefined();
  });

  it('gives back what the work gives, and throws what it throws', async () => {
    expect(runInContext({}, () => 5)).toBe(5);
    await expect(runInContext({}, async () => 5)).resolves.toBe(5);
    expect(() =>
      runInContext({}, () => {
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(currentContext()).toBeUndefined();
  });

  it('hands tenant, ledger and budget down unless they are given', () => {
    const budget: AttemptBudget = { deposit: () => {}, withdraw: () => true };
    const ledger = createLedger();
    runInContext({ tenant: 'acme', budget, ledger }, () => {
      runInContext({}, () => {
        expect(inside()).toMatchObject({ tenant: 'acme' });
        expect(inside().budget).toBe(budget);
        expect(inside().ledger).toBe(ledger);
      });
      const own = createLedger();
      runInContext({ tenant: 'globex', ledger: own }, () => {
        expect(inside().tenant).toBe('globex');
        expect(inside().ledger).toBe(own);
      });
      expect(inside().tenant).toBe('acme');
    });
  });

  it('has no ledger until a layer that tries again opens one', () => {
    expect(runInContext({ tenant: 'acme' }, () => inside().ledger)).toBeUndefined();
  });

  it('merges attributes, the inner ones winning, and touches neither object', () => {
    const outer = { route: '/chat', try: 1 };
    const inner = { try: 2, model: 'x' };
    runInContext({ attributes: outer }, () => {
      runInContext({ attributes: inner }, () => {
        expect(inside().attributes).toEqual({ route: '/chat', try: 2, model: 'x' });
      });
      expect(inside().attributes).toEqual({ route: '/chat', try: 1 });
    });
    expect([outer, inner]).toEqual([
      { route: '/chat', try: 1 },
      { try: 2, model: 'x' },
    ]);
  });

  it('counts the earliest deadline of all that surround the work', () => {
    const deadline = fc.option(fc.nat(1_000), { nil: undefined });
    fc.assert(
      fc.property(fc.array(deadline, { minLength: 1, maxLength: 5 }), (deadlines) => {
        const nest = (rest: readonly (number | undefined)[]): number | undefined => {
          if (rest.length === 0) return inside().deadline;
          return runInContext({ deadline: rest[0] }, () => nest(rest.slice(1)));
        };
        const known = deadlines.filter((each) => each !== undefined);
        expect(nest(deadlines)).toBe(known.length > 0 ? Math.min(...known) : undefined);
      }),
    );
  });

  it.each(['outer', 'inner'] as const)('aborts the work with the %s signal', (which) => {
    const controllers = { outer: new AbortController(), inner: new AbortController() };
    const signal = runInContext({ signal: controllers.outer.signal }, () =>
      runInContext({ signal: controllers.inner.signal }, () => inside().signal),
    );
    expect(signal?.aborted).toBe(false);
    controllers[which].abort(which);
    expect(signal?.reason).toBe(which);
  });

  it('keeps concurrent calls apart through every kind of wait', async () => {
    const seen = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        runInContext({ tenant: `tenant-${index}`, deadline: index, ledger: createLedger() }, async () => {
          await null;
          await new Promise((resolve) => setImmediate(resolve));
          await new Promise<void>((resolve) => process.nextTick(resolve));
          inside().ledger?.begin();
          return [inside().tenant, inside().deadline, inside().ledger?.used];
        }),
      ),
    );
    expect(seen).toEqual(Array.from({ length: 50 }, (_, index) => [`tenant-${index}`, index, 1]));
  });

  it('keeps what an application has in AsyncLocalStorages of its own, and lets nothing out', () => {
    const user = new AsyncLocalStorage<string>();
    user.run('alice', () => {
      runInContext({ tenant: 'a' }, () => {
        expect(user.getStore()).toBe('alice');
        user.run('bob', () => expect([user.getStore(), inside().tenant]).toEqual(['bob', 'a']));
        expect(() =>
          runInContext({ tenant: 'b' }, () => {
            throw new Error('thrown');
          }),
        ).toThrow('thrown');
        expect([user.getStore(), inside().tenant]).toEqual(['alice', 'a']);
      });
      expect([user.getStore(), currentContext()]).toEqual(['alice', undefined]);
    });
  });

  it('leaves nothing behind with those who follow asynchronous resources from their making to their end', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const living = new Set<number>();
    const hook = createHook({
      init: (id, type) => type === 'WarmpathCall' && living.add(id),
      destroy: (id) => living.delete(id),
    }).enable();
    for (let calls = 1_000; calls > 0; calls--) runInContext({}, () => {});
    expect(living.size).toBe(1_000);
    const left = (): number => {
      collect();
      return living.size;
    };
    await expect.poll(left).toBeLessThan(100);
    hook.disable();
  });
});

describe('runShared', () => {
  it('obeys its own signal and knows its tenant, and nothing of the caller who began it', () => {
    const shared = new AbortController();
    const context: Partial<CallContext> = {
      tenant: 'acme',
      signal: new AbortController().signal,
      deadline: 5,
      ledger: createLedger(),
      attributes: { user: 'alice' },
    };
    runInContext(context, () => {
      runShared(shared, 'globex', undefined, () => {
        const { tenant, signal, deadline, ledger, running, budget, attributes } = inside();
        expect([tenant, signal, attributes]).toEqual(['globex', shared.signal, {}]);
        expect([deadline, ledger, running, budget]).toEqual([undefined, undefined, undefined, undefined]);
      });
      runShared(shared, undefined, undefined, () => expect(inside().tenant).toBeUndefined());
    });
  });

  it('has the budget that it is given, and a signal that is made when somebody looks', () => {
    const budget: AttemptBudget = { deposit: () => {}, withdraw: () => true };
    const shared = new AbortController();
    let made = 0;
    const late = {
      get signal() {
        made++;
        return shared.signal;
      },
    };
    runShared(late, undefined, budget, () => {
      expect([inside().budget, made]).toEqual([budget, 0]);
      expect([inside().signal, made]).toEqual([shared.signal, 1]);
    });
  });
});

describe('remainingMs', () => {
  it('counts down to 0 and is Infinity without a deadline', async () => {
    const clock = createFakeClock();
    expect(remainingMs(clock)).toBe(Number.POSITIVE_INFINITY);
    await runInContext({ deadline: 100 }, async () => {
      expect(remainingMs(clock)).toBe(100);
      await clock.advance(60);
      expect(remainingMs(clock)).toBe(40);
      await clock.advance(60);
      expect(remainingMs(clock)).toBe(0);
    });
  });
});

describe('createLedger', () => {
  it('lets no more attempts begin than its limit, and keeps no more', () => {
    fc.assert(
      fc.property(fc.nat(20), fc.nat(60), (limit, tries) => {
        const ledger = createLedger(limit);
        const begun = Array.from({ length: tries }, () => {
          ledger.record({ kind: 'retry', target: 'x', ms: 1, outcome: 'failed' });
          return ledger.begin();
        });
        expect(begun.filter(Boolean)).toHaveLength(Math.min(limit, tries));
        expect(ledger.used).toBe(Math.min(limit, tries));
        expect(ledger.attempts).toHaveLength(Math.min(limit, tries));
      }),
    );
  });

  it('is shared by all layers of one call', () => {
    const results = runInContext({ ledger: createLedger(2) }, () => [
      runInContext({}, () => inside().ledger?.begin()),
      runInContext({}, () => inside().ledger?.begin()),
      runInContext({}, () => inside().ledger?.begin()),
    ]);
    expect(results).toEqual([true, true, false]);
  });
});

describe('joinSignals', () => {
  it('makes no new signal when there is only one to obey', () => {
    const { signal } = new AbortController();
    expect(joinSignals()).toBeUndefined();
    expect(joinSignals(undefined, undefined)).toBeUndefined();
    expect(joinSignals(undefined, signal, signal)).toBe(signal);
  });

  it('is aborted from the start when one of its signals is', () => {
    expect(joinSignals(new AbortController().signal, AbortSignal.abort('gone'))?.reason).toBe('gone');
  });
});
