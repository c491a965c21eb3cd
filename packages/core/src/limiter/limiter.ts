import { durationMs, safeListener, systemClock, systemRandom } from '../kernel/index.js';
import { KeyedLimiter } from './keyed-limiter.js';
import type { Limiter } from './limiter-types.js';
import { MemoryDesk } from './memory-desk.js';
import { checkLimiter, type LimiterOptions } from './options.js';
import { StoreDesk } from './shared/store-desk.js';

/**
 * Limits for each key: so many requests, tokens or dollars in any window of time, in each day of a calendar, at the same time.
 * All of them hold together: a request is charged to all or to none. In memory a decision takes well below a microsecond and a
 * key a few hundred bytes; with a store it takes one round trip, or none with `prefetch`.
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function createLimiter(options: LimiterOptions): Limiter {
  const dimensions = checkLimiter(options);
  const { name, maxKeys = 100_000, penalise = false, adaptive = {}, store } = options;
  const { timeout = '1m', maxWaiting = 10_000, aging = '10s', leaseTtl = '5m', shareOf = () => 1 } = options;
  const { storeTimeout = '50ms', onStoreError = 'local', prefetch = 0 } = options;
  const { clock = systemClock, random = systemRandom } = options;
  const report = safeListener(options.onEvent);
  const accounts = { name, dimensions, maxKeys, penalise, clock };
  const shared = store && {
    ...accounts,
    store,
    storeTimeoutMs: durationMs(storeTimeout),
    onStoreError,
    prefetch,
    random,
    onEvent: report,
  };
  return new KeyedLimiter({
    name,
    dimensions,
    desk: shared ? new StoreDesk(shared) : new MemoryDesk(accounts),
    adaptive,
    shareOf,
    timeoutMs: durationMs(timeout),
    leaseTtlMs: durationMs(leaseTtl),
    agingMs: durationMs(aging),
    maxWaiting,
    clock,
    report,
  });
}
