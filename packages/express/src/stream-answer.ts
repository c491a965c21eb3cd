import { respondWithEvents, type SseEvent, type StreamEnd } from '@warmpath/core';
import type { RespondOptions } from '@warmpath/core/streaming';
import type { Response } from 'express';

/** An event whose data may be any JSON. */
export interface AnswerEvent extends Omit<SseEvent, 'data'> {
  readonly data: unknown;
}

/**
 * Sends events as they come. Nothing is sent before the first one, so a source that fails early rejects and the error
 * handler can still choose a status; later failures reach the client as an event named `error`.
 */
export function streamAnswer(
  res: Response,
  events: AsyncIterable<AnswerEvent>,
  options: RespondOptions = {},
): Promise<StreamEnd> {
  return respondWithEvents(res, encoded(events), options);
}

async function* encoded(events: AsyncIterable<AnswerEvent>): AsyncGenerator<SseEvent> {
  for await (const { data, ...rest } of events) {
    yield { ...rest, data: typeof data === 'string' ? data : JSON.stringify(data) };
  }
}
