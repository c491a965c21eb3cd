import type { ServerResponse } from 'node:http';
import {
  abortReason,
  ambientRules,
  type Clock,
  checkOptions,
  type Duration,
  durationMs,
  problemOf,
  type Rules,
  rule,
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

const rules: Rules<RespondOptions> = {
  status: rule.integer(200, 599),
  headers: rule.object,
  heartbeat: rule.positiveDuration,
  clock: ambientRules.clock,
};

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
 * that leaves ends it. HEAD gets the headers alone: the source is closed without having begun.
 * @returns how it ended, with the time to the first event measured from the call
 * @throws the source's error before the first event; WarmpathError `WP_BAD_OPTION`
 */
export async function respondWithEvents(
  res: ServerResponse,
  events: AsyncIterable<SseEvent>,
  options: RespondOptions = {},
): Promise<StreamEnd> {
  checkOptions('respondWithEvents()', options, rules);
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
    if (res.req.method === 'HEAD') {
      sendHeaders(res, options);
      res.end();
      closeSource(source);
      return end('complete');
    }
    for (
      let next = await untilAborted(source.next(), gone);
      !next.done;
      next = await untilAborted(source.next(), gone)
    ) {
      const frame = encodeSse(next.value);
      if (firstChunkMs === undefined) {
        firstChunkMs = clock.now() - began;
        sendHeaders(res, options);
        heart = beat(res, durationMs(heartbeat), clock);
      }
      chunks++;
      heart?.rest();
      await writeFlushed(res, frame, gone);
    }
    if (firstChunkMs === undefined) sendHeaders(res, options);
    res.end();
    return end('complete');
  } catch (error) {
    closeSource(source);
    if (gone.aborted) return end('aborted');
    if (firstChunkMs === undefined || !res.headersSent) throw error;
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

/** A compressing response has to be told to let go of what it holds. @returns whether there is room for more */
function write(res: ServerResponse, text: string): boolean {
  const room = res.write(text);
  if ('flush' in res && typeof res.flush === 'function') res.flush();
  return room;
}

/** Resolves when the client can take more. */
async function writeFlushed(res: ServerResponse, text: string, gone: AbortSignal): Promise<void> {
  if (gone.aborted) throw abortReason(gone);
  if (write(res, text)) return;
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

/** Ends a source early. One that cannot even be closed has nobody left to tell: its own failure was reported before. */
export function closeSource(source: AsyncIterator<unknown>): void {
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
    if (!res.writableNeedDrain) write(res, sseComment('still here'));
    rest();
  };
  return { rest, stop: () => timer?.cancel() };
}
