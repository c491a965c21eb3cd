import { badOption } from '../../kernel/index.js';
import type { Chunks, StreamCall, StreamComputation } from '../contract.js';
import { keepingOf } from '../loading/order.js';

export type Produce<C> = (computation: StreamComputation) => Chunks<C> | Promise<Chunks<C>>;

/** A stream that is wanted, and how. */
export interface StreamOrder<C> {
  readonly produce: Produce<C>;
  /** Undefined: the cache's. */
  readonly ttlMs: number | undefined;
  readonly tags: readonly string[];
  readonly isComplete: (chunks: readonly C[]) => boolean;
  readonly isPaced: boolean;
  readonly finishFill: boolean;
}

const paces: readonly StreamCall<unknown>['pace'][] = [undefined, 'full', 'recorded'];

/** @throws WarmpathError `WP_BAD_OPTION` */
export function streamOrderOf<C>(cache: string, produce: Produce<C>, call: StreamCall<C>): StreamOrder<C> {
  const where = `Cache '${cache}'`;
  if (typeof produce !== 'function') throw badOption(where, 'produce', 'a function', produce);
  const { isComplete = () => true, pace, finishFill = false } = call;
  if (typeof isComplete !== 'function') throw badOption(where, 'isComplete', 'a function', isComplete);
  if (typeof finishFill !== 'boolean') throw badOption(where, 'finishFill', 'true or false', finishFill);
  if (!paces.includes(pace)) throw badOption(where, 'pace', "'full' or 'recorded'", pace);
  return { produce, isComplete, isPaced: pace === 'recorded', finishFill, ...keepingOf(cache, call) };
}
