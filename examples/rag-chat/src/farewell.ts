import { problemOf, untilAborted } from '@warmpath/core/kernel';
import { type AnswerEvent, HttpProblem } from '@warmpath/express';

/** Why an answer ends that is still under way when the application has waited for it long enough. */
export const shuttingDown: HttpProblem = new HttpProblem(
  503,
  'The server is shutting down',
  'The answer is not complete. Ask again later.',
);

/**
 * The events until `stopping` is aborted, then one that says why there are no more. An answer that has not begun by then
 * gets no such event: it can still have a status of its own. Not a generator: that could not be closed while it waits.
 */
export function withFarewell(
  events: AsyncIterable<AnswerEvent>,
  stopping: AbortSignal | undefined,
): AsyncIterable<AnswerEvent> {
  if (!stopping) return events;
  return {
    [Symbol.asyncIterator]() {
      const source = events[Symbol.asyncIterator]();
      const done = { done: true, value: undefined } as const;
      let begun = false;
      let ended = false;
      return {
        async next() {
          if (ended) return done;
          try {
            const next = await untilAborted(source.next(), begun ? stopping : undefined);
            begun = true;
            return next;
          } catch (error) {
            if (!begun || !stopping.aborted) throw error;
            ended = true;
            return { done: false, value: { event: 'error', data: problemOf(shuttingDown) } };
          }
        },
        async return() {
          await source.return?.();
          return done;
        },
      };
    },
  };
}
