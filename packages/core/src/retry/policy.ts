import { badOption, type WarmpathError } from '../kernel/index.js';

/** What one attempt knows of itself. */
export interface AttemptCall {
  /** Among the physical attempts of the whole call, whoever makes them: 1 for the first. */
  readonly attempt: number;
  /**
   * Aborted when the attempt's time is up, when nobody wants its outcome any more, or when the caller leaves. Quiet after the
   * attempt has ended, so that a body can still be read; the caller's leaving is heard even then. Made when first looked at.
   */
  readonly signal: AbortSignal;
}

/** What is to be done, once or several times. */
export type Work<T> = (call: AttemptCall) => T | PromiseLike<T>;

/** Who asks. The context of the call (`runInContext`) counts as well. */
export interface PolicyCall {
  readonly signal?: AbortSignal | undefined;
}

/** A way to do work: again, in time, or not at all. Made once, called as often as there is work. */
export type Policy = <T>(work: Work<T>, call?: PolicyCall) => Promise<T>;

/**
 * One policy of several, the outermost first: `wrap(retry(), breaker(), timeout('20s'))` tries again what a breaker lets through
 * and what ends within 20 s. Costs one call each.
 * @throws WarmpathError `WP_BAD_OPTION` for what is no policy
 */
export function wrap(outer: Policy, ...inner: readonly Policy[]): Policy {
  for (const [index, policy] of [outer, ...inner].entries()) {
    const rule = "a policy, as retry() or timeout('20s') give";
    if (typeof policy !== 'function') throw badOption('wrap()', `policies[${index}]`, rule, policy);
  }
  const [next, ...rest] = inner;
  if (!next) return outer;
  const within = wrap(next, ...rest);
  return (work, call) => outer((attempt) => within(work, attempt), call);
}

/** What a policy says to whoever gives it no work. */
export function notWork(policy: string, work: unknown): WarmpathError {
  return badOption(`policy '${policy}'`, 'work', 'a function, as in policy(({ signal }) => ...)', work);
}
