import {
  type BeforeApplicationShutdown,
  type CallHandler,
  type ExecutionContext,
  Injectable,
  Logger,
  type NestInterceptor,
  ServiceUnavailableException,
} from '@nestjs/common';
import { checkOptions, type Duration, joinSignals, rule, untilAborted, WarmpathError } from '@warmpath/core/kernel';
import { closeSource, encodeSse, respondWithEvents, responseSignal, type SseEvent } from '@warmpath/core/streaming';
import { Observable } from 'rxjs';
import { rawRequest, rawResponse, seal, takeOver } from './http-response.js';
import { readHandled } from './observable-chunks.js';
import { toSseEvent } from './sse-event.js';

export interface StreamOptions {
  /** Turns one chunk into an event. Default: `toSseEvent`. */
  readonly toEvent?: (chunk: unknown) => SseEvent;
  /** How often a comment keeps an idle connection. Default 15 s. */
  readonly heartbeat?: Duration;
  /** The most chunks of an Observable that wait for a slow client; past it the stream ends with an error. Default 1,000. */
  readonly maxPending?: number;
}

/**
 * Sends what a handler returns piece by piece as server-sent events: the chunks of an AsyncIterable, or the values of an
 * Observable that does not complete with its first. Anything else passes as it is, and so do byte streams and `@Sse()`.
 * Headers wait for the first chunk, so a failure before it keeps its HTTP status; one after it is an event named `error`,
 * and is logged.
 * A client that leaves ends the source, and aborts the signal of the call's context. The status is the route's own: a POST
 * answers 201 unless `@HttpCode(200)` says otherwise.
 */
@Injectable()
export class StreamInterceptor implements NestInterceptor, BeforeApplicationShutdown {
  readonly #toEvent: (chunk: unknown) => SseEvent;
  readonly #heartbeat: { readonly heartbeat?: Duration };
  readonly #maxPending: number;
  readonly #open = new Set<AbortController>();
  readonly #logger = new Logger('StreamInterceptor');

  /** @throws WarmpathError `WP_BAD_OPTION` */
  constructor(options: StreamOptions = {}) {
    checkOptions('new StreamInterceptor()', options, {
      toEvent: rule.function,
      heartbeat: rule.positiveDuration,
      maxPending: rule.integer(1),
    });
    const { toEvent = toSseEvent, heartbeat, maxPending = 1_000 } = options;
    this.#toEvent = toEvent;
    this.#heartbeat = heartbeat === undefined ? {} : { heartbeat };
    this.#maxPending = maxPending;
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (!isOurs(context)) return next.handle();
    const handled = next.handle();
    return new Observable((subscriber) => {
      const finish = (values: readonly unknown[]): void => {
        for (const value of values) subscriber.next(value);
        subscriber.complete();
      };
      const fail = (error: unknown): void => subscriber.error(error);
      const reading = readHandled(handled, this.#maxPending, {
        chunks: (source) => void this.#answer(context, source).then(() => finish([undefined]), fail),
        value: finish,
        error: fail,
      });
      return () => reading.unsubscribe();
    });
  }

  /** Ends the streams that are open, or the server would wait for them for ever. */
  beforeApplicationShutdown(): void {
    for (const controller of this.#open) controller.abort(closed());
  }

  async #answer(context: ExecutionContext, chunks: AsyncIterable<unknown>): Promise<void> {
    const closing = new AbortController();
    this.#open.add(closing);
    const gone = responseSignal(rawResponse(context));
    const source = chunks[Symbol.asyncIterator]();
    const ended = joinSignals(gone, closing.signal);
    try {
      const first = this.#asEvent(await untilAborted(source.next(), ended));
      if (!first.done) encodeSse(first.value); // what cannot be sent has to show while there is still a status to choose
      const events = this.#events(first, source, ended);
      const end = await respondWithEvents(takeOver(context), events, this.#heartbeat);
      if (end.outcome === 'failed' && !closing.signal.aborted) this.#logger.error(end.error);
    } catch (error) {
      closeSource(source);
      if (closing.signal.aborted) throw new ServiceUnavailableException('The server is shutting down.');
      if (!gone.aborted) throw error;
      takeOver(context); // nobody is left to answer
    } finally {
      this.#open.delete(closing);
    }
    seal(context);
  }

  async *#events(
    first: IteratorResult<SseEvent>,
    source: AsyncIterator<unknown>,
    ended: AbortSignal | undefined,
  ): AsyncGenerator<SseEvent> {
    try {
      for (let next = first; !next.done; next = this.#asEvent(await untilAborted(source.next(), ended))) {
        yield next.value;
      }
    } finally {
      closeSource(source);
    }
  }

  #asEvent(next: IteratorResult<unknown>): IteratorResult<SseEvent> {
    return next.done ? next : { done: false, value: this.#toEvent(next.value) };
  }
}

/** Routes marked `@Sse()` are Nest's to send, and an answer to HEAD has no body. */
function isOurs(context: ExecutionContext): boolean {
  if (context.getType() !== 'http' || rawRequest(context).method === 'HEAD') return false;
  return Reflect.getMetadata('__sse__', context.getHandler()) !== true;
}

function closed(): WarmpathError {
  return new WarmpathError('WP_CLOSED', 'The server is shutting down.');
}
