import { Injectable } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import type { LimiterStore, Warmpath } from '@warmpath/core';
import { currentContext, runInContext } from '@warmpath/core/kernel';
import { createFakeClock, type FakeClock, memoryLimits } from '@warmpath/core/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RateLimited, RateLimitedException, WARMPATH, WarmpathModule } from '../index.js';

let clock: FakeClock;
const apps: TestingModule[] = [];
beforeEach(() => {
  clock = createFakeClock();
});
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

async function make<T>(type: new () => T): Promise<{ provider: T; runtime: Warmpath }> {
  const imports = [WarmpathModule.forRoot({ clock })];
  const app = await Test.createTestingModule({ imports, providers: [type] }).compile();
  apps.push(app);
  await app.init();
  return { provider: app.get(type), runtime: app.get<Warmpath>(WARMPATH) };
}

const asTenant = <T>(tenant: string, work: () => T): T => runInContext({ tenant }, work);

/** What came of each call, one after another: its result, or what it was refused for. */
async function outcomes(...calls: (() => Promise<unknown>)[]): Promise<unknown[]> {
  const seen: unknown[] = [];
  for (const call of calls) {
    seen.push(
      await call().catch((error: unknown) => (error instanceof RateLimitedException ? error.getStatus() : error)),
    );
  }
  return seen;
}

describe('@RateLimited with several limits', () => {
  @Injectable()
  class Embedder {
    @RateLimited({
      limits: [
        { limit: 3, window: '1m' },
        { unit: 'tokens', limit: 10, window: '1h' },
      ],
      cost: (text: string) => ({ tokens: text.length }),
    })
    async embed(text: string): Promise<number> {
      return text.length;
    }
  }

  it('charges what a call costs to all of them or to none, and says which one has refused', async () => {
    const { provider } = await make(Embedder);
    const embed = (text: string) => () => provider.embed(text);
    expect(await outcomes(embed('12345678'), embed('123'), embed('12'), embed(''), embed(''))).toEqual([
      8, 429, 2, 0, 429,
    ]);
    await clock.advance(60_000);
    const refused = await provider.embed('1').catch((error: unknown) => error);
    expect(refused).toMatchObject({
      message: 'The limit is 10 tokens in 3600 s. Try again in 3540 s.',
      decision: { dimension: 'tokens/1h' },
      problem: { 'violated-policies': ['default:tokens/1h'] },
      headers: {
        'RateLimit-Policy': '"default:requests/1m";q=3;w=60, "default:tokens/1h";q=10;qu="warmpath-tokens";w=3600',
      },
    });
    expect(await provider.embed('x'.repeat(11)).catch((error: unknown) => error)).toMatchObject({
      decision: { reason: 'impossible' },
      response: { statusCode: 429, message: 'The limit is 10 tokens in 3600 s.' },
    });
  });
});

describe('@RateLimited with a wait', () => {
  @Injectable()
  class Model {
    readonly asked: string[] = [];
    @RateLimited({
      limit: 1,
      window: '1s',
      wait: '3s',
      key: () => 'all',
      priority: (question: string) => (question.endsWith('!') ? 0 : 5),
    })
    async ask(question: string): Promise<void> {
      this.asked.push(question);
    }
  }

  it('lets calls wait for their turn, the urgent ones first', async () => {
    const { provider } = await make(Model);
    const calls = ['one', 'two', 'three', 'now!'].map((question) => provider.ask(question));
    await clock.advance(3_000);
    await Promise.all(calls);
    expect(provider.asked).toEqual(['one', 'now!', 'two', 'three']);
  });

  it('ends with the call: who has left is not let through', async () => {
    const { provider } = await make(Model);
    await provider.ask('one');
    const caller = new AbortController();
    const left = runInContext({ signal: caller.signal }, () => provider.ask('two'));
    await clock.settle();
    caller.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    await clock.advance(1_000);
    await provider.ask('three');
    expect(provider.asked).toEqual(['one', 'three']);
  });
});

describe('@RateLimited with a limit on calls at the same time', () => {
  @Injectable()
  class Slow {
    readonly gates: PromiseWithResolvers<void>[] = [];
    @RateLimited({ limits: [{ concurrent: 2 }] })
    async work(): Promise<string> {
      const gate = Promise.withResolvers<void>();
      this.gates.push(gate);
      await gate.promise;
      return 'done';
    }
  }

  it('counts each until its promise settles, with or without success', async () => {
    const { provider, runtime } = await make(Slow);
    const [first, second] = [provider.work(), provider.work()];
    await clock.settle();
    await expect(provider.work()).rejects.toThrow('The limit is 2 at a time.');
    provider.gates[0]?.resolve();
    expect(await first).toBe('done');
    const third = provider.work();
    await clock.settle();
    provider.gates[1]?.reject(new Error('broken'));
    await expect(second).rejects.toThrow('broken');
    provider.gates[2]?.resolve();
    expect(await third).toBe('done');
    expect(runtime.snapshot().limiters['Slow.work']).toMatchObject({ allowed: 3, refused: 1, reserved: 0 });
  });
});

describe('@RateLimited with a plan for each tenant', () => {
  const planOf: Readonly<Record<string, string>> = { acme: 'pro', hooli: 'gone' };

  @Injectable()
  class Answers {
    @RateLimited({
      plans: { free: [{ limit: 1, window: '1m' }], pro: [{ limit: 3, window: '1m' }] },
      plan: () => planOf[currentContext()?.tenant ?? ''] ?? 'free',
      name: 'answers',
    })
    async answer(): Promise<string> {
      return 'ok';
    }
  }

  it('gives each tenant the limits of its plan', async () => {
    const { provider, runtime } = await make(Answers);
    const answer = (tenant: string) => () => asTenant(tenant, () => provider.answer());
    expect(await outcomes(...['globex', 'globex', 'initech', 'acme', 'acme', 'acme', 'acme'].map(answer))).toEqual([
      ...['ok', 429, 'ok'],
      ...['ok', 'ok', 'ok', 429],
    ]);
    expect(runtime.snapshot().limiters).toMatchObject({
      'answers.free': { allowed: 2, refused: 1 },
      'answers.pro': { allowed: 3, refused: 1 },
    });
    await expect(answer('acme')()).rejects.toMatchObject({
      headers: { 'RateLimit-Policy': '"answers.pro";q=3;w=60' },
    });
  });

  it('refuses to run for a plan that does not exist', async () => {
    const { provider } = await make(Answers);
    await expect(asTenant('hooli', () => provider.answer())).rejects.toMatchObject({
      code: 'WP_BAD_OPTION',
      message: "@RateLimited() on Answers.answer: option 'plan' must be one of free, pro, got 'gone' (string).",
    });
  });
});

describe('@RateLimited with a store', () => {
  const away = (): Promise<never> => Promise.reject(new Error('connection refused'));
  const dead: LimiterStore = {
    name: 'dead',
    take: away,
    settle: away,
    extend: away,
    peers: away,
    close: async () => {},
  };
  const store = memoryLimits();

  @Injectable()
  class One {
    @RateLimited({ limit: 2, window: '1m', name: 'shared', store })
    async call(): Promise<string> {
      return 'ok';
    }
  }
  @Injectable()
  class Other {
    @RateLimited({ limit: 2, window: '1m', name: 'shared', store: store.peer() })
    async call(): Promise<string> {
      return 'ok';
    }
  }
  @Injectable()
  class Careful {
    @RateLimited({ limit: 2, window: '1m', store: dead, onStoreError: 'refuse' })
    async call(): Promise<string> {
      return 'ok';
    }
  }

  it('counts with other processes', async () => {
    const [one, other] = await Promise.all([make(One), make(Other)]);
    const calls = [one, other, one, other].map(
      ({ provider }) =>
        () =>
          provider.call(),
    );
    expect(await outcomes(...calls)).toEqual(['ok', 'ok', 429, 429]);
  });

  it('rejects with 503, and not as if the caller had used up anything, where nobody can tell', async () => {
    const { provider } = await make(Careful);
    const refused = await provider.call().catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(RateLimitedException);
    expect(refused).toMatchObject({
      status: 503,
      response: { statusCode: 503, error: 'Service Unavailable', retryAfterMs: expect.any(Number) },
      decision: { reason: 'store-unavailable', decidedBy: 'none' },
      problem: { type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity' },
    });
  });
});
