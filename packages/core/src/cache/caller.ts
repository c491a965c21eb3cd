import {
  abortReason,
  currentContext,
  deadlineError,
  type LinkedAbort,
  linkAbort,
  remainingMs,
} from '../kernel/index.js';
import type { ReadCall } from './contract.js';
import type { ResolvedCacheOptions } from './options.js';

type CallerOptions = Pick<ResolvedCacheOptions, 'name' | 'clock'>;

/**
 * What ends a caller's waiting: its own signal, its context's, its deadline; undefined when nothing does. It listens to
 * signals that may outlive the call by far, so it is released when the waiting is over.
 * @throws the reason, when the caller has left already or is out of time
 */
export function callerOf({ name, clock }: CallerOptions, call: ReadCall): LinkedAbort | undefined {
  const parents = [call.signal, currentContext()?.signal];
  for (const parent of parents) if (parent?.aborted) throw abortReason(parent);
  const timeoutMs = remainingMs(clock);
  const what = `Cache '${name}'`;
  if (timeoutMs === 0) throw deadlineError(what, 0);
  if (timeoutMs === Number.POSITIVE_INFINITY && !parents.some(Boolean)) return undefined;
  return linkAbort({ parents, timeoutMs, clock, what });
}

/** Work that a caller waits for, and that is to be left when the signal says so. */
export function untilLeft<T>(
  options: CallerOptions,
  call: ReadCall,
  work: (signal: AbortSignal | undefined) => Promise<T>,
): Promise<T> {
  const caller = callerOf(options, call);
  return caller ? work(caller.signal).finally(() => caller.release()) : work(undefined);
}
