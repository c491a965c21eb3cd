import type { ServerResponse } from 'node:http';
import {
  abortReason,
  type Clock,
  type Duration,
  durationMs,
  problemOf,
  systemClock,
  type Timer,
  untilAborted,
} from '../kernel/index.js';
import type { StreamEnd } from './meter.js';
import { encodeSse, type SseEvent, sseComment } from './sse.js';

export interface RespondOptions {
  /** Default: 200, or what the response already says. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** How often a comment is sent while nothing else is, so that proxies keep the connection. Default 15 s. */
  readonly heartbeat?: Duration;
  readonly clock?: Clock;
}

const signals = new WeakMap<ServerResponse, AbortSignal>();

/** A signal that is aborted when the client leaves before the answer has been sent; one for each response. */
export function responseSignal(res: ServerResponse): AbortSignal {
  const known = signals.get(res);
  if (known) return known;
  const controller = new AbortController();
  signals.set(res, controller.signal);
  // `close` always fires, `finish` only once everything was handed over; a request's own `close` fires too early.
  const onClose = (): void => {
    if (!res.writableFinished) controller.abort(new DOMException('The client left', 'AbortError'));
  };
  if (res.destroyed) onClose();
  else res.once('close', onClose);
  return controller.signal;
}

/**
 * Sends events as they come (`text/event-stream`). Headers wait for the first event: a source that fails before it makes
 * this reject with nothing sent, so that the caller can still answer with a status. A failure after it is sent as an
 * event named `error` whose data is a problem document, and the stream ends. A slow client slows the source down; one
 * that leaves ends it.
 * @returns how it ended, with the time to the first event measured from the call
 */
export async function respondWithEvents(
  res: ServerResponse,
  events: AsyncIterable<SseEvent>,
  options: RespondOptions = {},
): Promise<StreamEnd> {
  const { clock = systemClock, heartbeat = '15s' } = options;
  const began = clock.now();
  const gone = responseSignal(res);
  const source = events[Symbol.asyncIterator]();
  let chunks = 0;
  let firstChunkMs: number | undefined;
  const end = (outcome: StreamEnd['outcome'], rest: { error?: unknown } = {}): StreamEnd => {
    return { outcome, chunks, firstChunkMs, totalMs: clock.now() - began, ...rest };
  };
  let heart: Heartbeat | undefined;
  try {
    for (
      let next = await untilAborted(source.next(), gone);
      !next.done;
      next = await untilAborted(source.next(), gone)
    ) {
      if (firstChunkMs === undefined) {
        firstChunkMs = clock.now() - began;
        sendHeaders(res, options);
        heart = beat(res, durationMs(heartbeat), clock);
      }
      chunks++;
      heart?.rest();
      await writeFlushed(res, encodeSse(next.value), gone);
    }
    if (firstChunkMs === undefined) sendHeaders(res, options);
    res.end();
    return end('complete');
  } catch (error) {
    await closeSource(source);
    if (gone.aborted) return end('aborted');
    if (firstChunkMs === undefined) throw error;
    res.end(encodeSse({ event: 'error', data: JSON.stringify(problemOf(error)) }));
    return end('failed', { error });
  } finally {
    heart?.stop();
  }
}

function sendHeaders(res: ServerResponse, { status = res.statusCode, headers = {} }: RespondOptions): void {
  res.statusCode = status;
  res.setHeader('Content-Type', 'text/event-stream; charset=utf-8');
  res.setHeader('Cache-Control', 'private, no-cache, no-transform');
  res.setHeader('X-Accel-Buffering', 'no'); // nginx would collect the events otherwise
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
}

/** Resolves when the client can take more; a compressing response has to be told to let go of what it holds. */
async function writeFlushed(res: ServerResponse, text: string, gone: AbortSignal): Promise<void> {
  if (gone.aborted) throw abortReason(gone);
  const room = res.write(text);
  if ('flush' in res && typeof res.flush === 'function') res.flush();
  if (room) return;
  await new Promise<void>((resolve, reject) => {
    const onDrain = (): void => {
      gone.removeEventListener('abort', onGone);
      resolve();
    };
    const onGone = (): void => {
      res.off('drain', onDrain);
      reject(abortReason(gone));
    };
    res.once('drain', onDrain);
    gone.addEventListener('abort', onGone, { once: true });
  });
}

/** A source that cannot even be closed has nobody left to tell: its own failure was reported before. */
async function closeSource(source: AsyncIterator<unknown>): Promise<void> {
  try {
    void source.return?.()?.then(undefined, () => {});
  } catch {
    // a return() that throws at once instead of rejecting
  }
}

interface Heartbeat {
  /** Something was sent: the next comment is due a whole interval from now. */
  rest(): void;
  stop(): void;
}

function beat(res: ServerResponse, intervalMs: number, clock: Clock): Heartbeat {
  let timer: Timer | undefined;
  const rest = (): void => {
    timer?.cancel();
    timer = clock.schedule(intervalMs, tick, { background: true });
  };
  const tick = (): void => {
    if (!res.writableNeedDrain) res.write(sseComment('still here'));
    rest();
  };
  return { rest, stop: () => timer?.cancel() };
}
