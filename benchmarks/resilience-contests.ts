import { breaker, createAttemptBudget, type Policy, retry, timeout, wrap } from '@warmpath/core/retry';
import * as cockatiel from 'cockatiel';
import CircuitBreaker from 'opossum';
import type { Contest, Task } from '#harness';

/** One call of a side makes so many calls, one after the other. */
const calls = 1_000;

/** The same for all: three attempts; open at 50 % of at least 10 calls in 30 s, for 10 s; 20 s for an attempt. */
const attempts = 3;
const failureRate = 0.5;
const windowMs = 30_000;
const minCalls = 10;
const pauseMs = 10_000;
const limitMs = 20_000;

type Work = (call: { readonly signal: AbortSignal }) => Promise<number>;
type Ask = (work: Work, signal?: AbortSignal) => Promise<number>;

/** Of a caller who does not leave. */
const idle = new AbortController().signal;

const noop: Work = async () => 1;
const looking: Work = async ({ signal }) => (signal.aborted ? 0 : 1);

/** With a budget that is kept, and is enough for the check before the contest: the peer has none. */
const ourRetry = (): Policy =>
  retry({ attempts, baseDelay: 1, maxDelay: 1, budget: createAttemptBudget({ perSecond: 1_000 }) });
// As many in a row as there have to be calls, so that both sides open at the same one.
const ourBreaker = (): Policy =>
  breaker({ consecutive: minCalls, failureRate, window: windowMs, minCalls, pause: pauseMs });

const theirRetry = (): cockatiel.RetryPolicy =>
  cockatiel.retry(cockatiel.handleAll, {
    maxAttempts: attempts - 1,
    backoff: new cockatiel.ExponentialBackoff({ initialDelay: 1, maxDelay: 1 }),
  });
const theirBreaker = (): cockatiel.CircuitBreakerPolicy =>
  cockatiel.circuitBreaker(cockatiel.handleAll, {
    halfOpenAfter: pauseMs,
    breaker: new cockatiel.SamplingBreaker({
      threshold: failureRate,
      duration: windowMs,
      minimumRps: minCalls / (windowMs / 1_000),
    }),
  });
/** Rejects at once, as ours does: its other way waits for work that does not listen. */
const theirTimeout = (): cockatiel.TimeoutPolicy => cockatiel.timeout(limitMs, cockatiel.TimeoutStrategy.Aggressive);

const asked = (policy: cockatiel.IPolicy<{ signal: AbortSignal }>): Ask => {
  return (work, signal) => policy.execute(work, signal);
};

/** Without its timer for each call, its percentiles and its look at them each second, which ours does not have. */
const opossum = (): Ask => {
  const circuit = new CircuitBreaker((work: Work) => work({ signal: idle }), {
    timeout: false,
    errorThresholdPercentage: 100 * failureRate,
    volumeThreshold: minCalls,
    rollingCountTimeout: windowMs,
    resetTimeout: pauseMs,
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
  });
  return (work) => circuit.fire(work);
};

const ours = (policy: Policy): Ask => {
  return (work, signal) => policy(work, signal && { signal });
};

/** What a side is made of, for the check before anything is timed. */
interface Side {
  readonly make: () => Ask;
  readonly hasRetry: boolean;
  readonly hasBreaker: boolean;
}

const side = (make: () => Ask, has: string): Side => ({
  make,
  hasRetry: has.includes('retry'),
  hasBreaker: has.includes('breaker'),
});

const pairs: Readonly<Record<string, readonly [ours: Side, peer: Side]>> = {
  'retry/cockatiel': [side(() => ours(ourRetry()), 'retry'), side(() => asked(theirRetry()), 'retry')],
  'breaker/cockatiel': [side(() => ours(ourBreaker()), 'breaker'), side(() => asked(theirBreaker()), 'breaker')],
  'breaker/opossum': [side(() => ours(ourBreaker()), 'breaker'), side(opossum, 'breaker')],
  'retry+breaker/cockatiel': [
    side(() => ours(wrap(ourRetry(), ourBreaker())), 'retry breaker'),
    side(() => asked(cockatiel.wrap(theirRetry(), theirBreaker())), 'retry breaker'),
  ],
  'retry+breaker+timeout/cockatiel': [
    side(() => ours(wrap(ourRetry(), ourBreaker(), timeout(limitMs))), 'retry breaker'),
    side(() => asked(cockatiel.wrap(theirRetry(), theirBreaker(), theirTimeout())), 'retry breaker'),
  ],
  'timeout/cockatiel': [side(() => ours(timeout(limitMs)), ''), side(() => asked(theirTimeout()), '')],
};

/** Ours next to what people would take otherwise, where nothing fails. */
export async function policyContests(): Promise<readonly Contest[]> {
  for (const sides of Object.values(pairs)) for (const each of sides) await verify(each);
  const both = pairs['retry+breaker/cockatiel'];
  const [timed] = pairs['retry+breaker+timeout/cockatiel'] ?? [];
  return [
    ...Object.entries(pairs).map(([name, [ours, peer]]) => ({ name, ours: calling(ours), peer: calling(peer) })),
    {
      name: 'retry+breaker.signal/cockatiel',
      ours: calling(both?.[0], noop, idle),
      peer: calling(both?.[1], noop, idle),
    },
    { name: 'retry+breaker+timeout, its signal looked at', ours: calling(timed, looking) },
    { name: 'the async function alone', ours: calling(side(() => (work) => work({ signal: idle }), '')) },
  ].map((contest) => ({ ...contest, units: calls }));
}

function calling(made: Side | undefined, work: Work = noop, signal?: AbortSignal): Task {
  if (!made) throw new Error('There is no such side');
  const ask = made.make();
  return async () => {
    for (let call = 0; call < calls; call++) await ask(work, signal);
  };
}

/** Before anything is timed: a side that does less would win. @throws when it does not try, or does not open, as it should */
async function verify({ make, hasRetry, hasBreaker }: Side): Promise<void> {
  let made = 0;
  const failing: Work = async () => {
    made++;
    throw new Error('as it should');
  };
  await make()(failing).catch(() => {});
  if (made !== (hasRetry ? attempts : 1)) throw new Error(`A side of a benchmark has made ${made} attempts`);
  if (!hasBreaker) return;
  made = 0;
  const ask = make();
  for (let call = 0; call < 3 * minCalls; call++) await ask(failing).catch(() => {});
  if (made !== minCalls) throw new Error(`A side of a benchmark has opened after ${made} calls, not ${minCalls}`);
}
