import { respondWithEvents, type SseEvent, type StreamEnd } from '@warmpath/core';
import type { RespondOptions } from '@warmpath/core/streaming';
import type { Request, Response } from 'express';
import { logFailure } from './problem.js';

/** An event whose data may be any JSON. */
export interface AnswerEvent extends Omit<SseEvent, 'data'> {
  readonly data: unknown;
}

export interface AnswerOptions extends RespondOptions {
  /** Hears of a failure after the first event, which no error handler can see. Default: console.error. */
  readonly log?: (error: unknown, req: Request) => void;
}

/**
 * Sends events as they come. Nothing is sent before the first one, so a source that fails early rejects and the error
 * handler can still choose a status; later failures reach the client as an event named `error`.
 */
export async function streamAnswer(
  res: Response,
  events: AsyncIterable<AnswerEvent>,
  { log = logFailure, ...options }: AnswerOptions = {},
): Promise<StreamEnd> {
  const end = await respondWithEvents(res, encoded(events), options);
  if (end.outcome === 'failed') log(end.error, res.req);
  return end;
}

/** Not a generator: that could not be closed while it waits for its source, and a client may leave just then. */
function encoded(events: AsyncIterable<AnswerEvent>): AsyncIterable<SseEvent> {
  return {
    [Symbol.asyncIterator]() {
      const source = events[Symbol.asyncIterator]();
      return {
        async next() {
          const { done, value } = await source.next();
          return done ? { done, value: undefined } : { done: false, value: toSse(value) };
        },
        async return() {
          await source.return?.();
          return { done: true, value: undefined };
        },
      };
    },
  };
}

/** What JSON has no word for, such as undefined, is `null`, as it is in a list. */
function toSse({ data, ...rest }: AnswerEvent): SseEvent {
  return { ...rest, data: typeof data === 'string' ? data : (JSON.stringify(data) ?? 'null') };
}
