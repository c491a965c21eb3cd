import { textOf } from '../kernel/index.js';

/** Whether an error is something or other. */
type Judge = (error: unknown) => boolean;

/**
 * What an application says of errors. Where its function fails itself, that is said once as a process warning, and `usual` decides: the error
 * that was asked about is not lost over it.
 * @param what names the function
 */
export function judgeBy(judge: Judge | undefined, usual: Judge, what: string): Judge {
  if (!judge) return usual;
  let hasFailed = false;
  return function judged(error) {
    try {
      return judge(error);
    } catch (own) {
      if (!hasFailed) process.emitWarning(`${what} failed: ${textOf(own)}`, { code: 'WARMPATH_PREDICATE' });
      hasFailed = true;
      return usual(error);
    }
  };
}
