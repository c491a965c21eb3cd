import { type Clock, systemClock } from './clock.js';
import { WarmpathError } from './errors.js';

/** The reason of an aborted signal, always as an Error, so that it can be thrown as it is. */
export function abortReason(signal: AbortSignal): Error {
  const reason: unknown = signal.reason;
  if (reason instanceof Error) return reason;
  // An object may refuse to become text, and this runs in listeners, where throwing would end the process.
  const message = reason === null || typeof reason === 'object' ? 'Aborted' : String(reason);
  return new DOMException(message, { name: 'AbortError', cause: reason });
}

/**
 * The outcome of `promise`, unless `signal` is aborted first: then its reason. The promise itself goes on, so this
 * detaches one caller from work that others share. The listener is gone once either has happened.
 */
export function untilAborted<T>(promise: PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return Promise.resolve(promise);
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortReason(signal));
    if (signal.aborted) {
      promise.then(undefined, () => {}); // its own failure has no other reader
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    const settled = (): void => signal.removeEventListener('abort', onAbort);
    promise.then(
      (value) => {
        settled();
        resolve(value);
      },
      (error) => {
        settled();
        reject(error);
      },
    );
  });
}

/** Resolves after `delayMs`, or rejects with the signal's reason; the timer goes in either case. */
export function wait(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortReason(signal));
    const onAbort = (): void => {
      timer.cancel();
      reject(abortReason(signal as AbortSignal));
    };
    const timer = clock.schedule(delayMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** A signal that follows its parents and can be aborted by its owner as well. Once aborted it has let go of everything. */
export interface LinkedAbort {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
  /** Lets go of parents and timer. Call it when the work is over, or long-lived parents keep every child alive. */
  release(): void;
}

/**
 * A controller that is aborted with the first of its parents, or with `WP_DEADLINE` once `timeoutMs` has passed (never,
 * when that is Infinity or undefined).
 * @param what names the work in the deadline's error, as in "The answer of model 'x'"
 */
export function linkAbort(options: {
  parents?: readonly (AbortSignal | undefined)[];
  timeoutMs?: number | undefined;
  clock?: Clock;
  what?: string;
}): LinkedAbort {
  const { parents = [], timeoutMs = Number.POSITIVE_INFINITY, clock = systemClock, what = 'The call' } = options;
  const controller = new AbortController();
  const undo: (() => void)[] = [];
  const release = (): void => {
    for (const step of undo.splice(0)) step();
  };
  const abort = (reason?: unknown): void => {
    release();
    controller.abort(reason);
  };
  for (const parent of parents) {
    if (!parent) continue;
    if (parent.aborted) {
      abort(parent.reason);
      break;
    }
    const follow = (): void => abort(parent.reason);
    parent.addEventListener('abort', follow, { once: true });
    undo.push(() => parent.removeEventListener('abort', follow));
  }
  if (Number.isFinite(timeoutMs) && !controller.signal.aborted) {
    const timer = clock.schedule(timeoutMs, () => abort(deadlineError(what, timeoutMs)));
    undo.push(() => timer.cancel());
  }
  return { signal: controller.signal, abort, release };
}

export function deadlineError(what: string, timeoutMs: number): WarmpathError {
  return new WarmpathError('WP_DEADLINE', `${what} took longer than the ${Math.round(timeoutMs)} ms that it has.`, {
    details: { timeoutMs },
  });
}
