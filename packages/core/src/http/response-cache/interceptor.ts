import { type Dispatcher, interceptors } from 'undici';
import {
  ambientRules,
  type ByteSize,
  byteSizeOf,
  type Clock,
  checkOptions,
  currentContext,
  type Duration,
  durationMs,
  type Rules,
  rule,
  systemClock,
} from '../../kernel/index.js';
import { Shelf } from './shelf.js';
import { type ResponseStore, ResponseStoreCalls } from './store-calls.js';
import { TenantView } from './tenant-view.js';

export interface HttpCacheOptions {
  /** Any store of `@warmpath/core/cache`, `/sqlite` or `/redis`. What caches keep in it is apart from what is kept here. */
  readonly store: ResponseStore;
  /** The largest body that is kept. Default `'5MB'`. */
  readonly maxBytes?: ByteSize;
  /** How long a call to the store may take before the service is asked instead. Default 50 ms. */
  readonly storeTimeout?: Duration;
  readonly clock?: Clock;
}

const httpCacheRules: Rules<HttpCacheOptions> = {
  store: rule.required(rule.withMethods('a cache store', 'getMany', 'setMany', 'invalidate')),
  maxBytes: rule.byteSize,
  storeTimeout: rule.positiveDuration,
  clock: ambientRules.clock,
};

export interface HttpCacheStats {
  /** Requests for which the store had a response, fresh or to be confirmed by the service. */
  readonly found: number;
  /** Requests for which it had none. */
  readonly missed: number;
  /** Responses that were stored. */
  readonly kept: number;
  /** Calls to the store that failed or were late. */
  readonly storeFailed: number;
}

/** An interceptor for `compose`, the outermost of a pool. */
export interface HttpCacheInterceptor extends Dispatcher.DispatcherComposeInterceptor {
  stats(): HttpCacheStats;
  /** When what is to be stored and forgotten has been: after one deadline of the store at the latest. */
  settled(): Promise<void>;
}

/**
 * Keeps responses to GET in a store, as their HTTP headers allow (RFC 9111, as a shared cache; undici decides it): fresh ones are served
 * without asking, stale ones confirmed by ETag or date, or served while that happens (`stale-while-revalidate`). What varies is kept
 * apart by what it varies on; a successful unsafe request forgets its URL; responses to requests with credentials are
 * kept only where they say so (`public`, `s-maxage`, `must-revalidate`), and nothing that is `private` or sets a cookie. Each
 * tenant of the CallContext has its own: one never sees another's. A store that is slow, fails or gives back broken bytes is a
 * miss and never an error; URLs that it could not forget are not taken from it by this process until it has.
 * Costs a digest and a call to the store for each GET, two where the response varies.
 * @param where whose options they are, in errors
 * @throws WarmpathError `WP_BAD_OPTION`
 */
export function httpCacheInterceptor(options: HttpCacheOptions, where: string): HttpCacheInterceptor {
  checkOptions(where, options, httpCacheRules);
  const { store, maxBytes = '5MB', storeTimeout = '50ms', clock = systemClock } = options;
  const calls = new ResponseStoreCalls(store, durationMs(storeTimeout), clock);
  const shelf = new Shelf(calls, byteSizeOf(maxBytes), clock);
  const intercept = (dispatch: Dispatcher.Dispatch): Dispatcher.Dispatch =>
    function dispatchCached(opts, handler) {
      if (hasOwnHost(opts.headers)) return dispatch(opts, handler);
      const view = new TenantView(shelf, currentContext()?.tenant);
      const cached = interceptors.cache({ store: view });
      return cached((asked, inner) => dispatch(asked, view.refreshing(asked, inner)))(opts, handler);
    };
  return Object.assign(intercept, {
    stats: () => ({ ...shelf.counts, storeFailed: calls.failed }),
    settled: () => calls.settled(),
  });
}

/** What is asked for is then another host's (RFC 9110 §7.1), which undici's keys do not say. */
function hasOwnHost(headers: Dispatcher.DispatchOptions['headers']): boolean {
  return typeof headers === 'object' && headers !== null && Object.hasOwn(headers, 'host');
}
