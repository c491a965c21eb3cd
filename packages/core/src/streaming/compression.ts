import type { ServerResponse } from 'node:http';
import { isEventStream } from './sse.js';

/**
 * Whether compression may touch an answer at all. Some proxies and clients hold back compressed event streams, and a range
 * counts bytes of the answer as it is (RFC 9110 §14.2).
 */
export function mayCompress(res: Pick<ServerResponse, 'getHeader' | 'hasHeader'>): boolean {
  return !isEventStream(res.getHeader('Content-Type')) && !res.hasHeader('Content-Range');
}

type Done = (error?: Error | null) => void;

/**
 * For middleware that replaces `write` and `end` and drops their callbacks, as `compression` does: a route that waits for
 * one would wait for ever. Call this before it, and what this returns after it. Each callback then goes with the next
 * chunk that leaves, which without compression is the same chunk, and is called once: at the latest at the close.
 */
export function keepWriteCallbacks(res: ServerResponse): () => void {
  const plainWrite = res.write;
  const waiting: Done[] = [];
  const uncalled = new Set<Done>();
  const tracked = (done: Done): Done => {
    const once: Done = (error) => {
      if (uncalled.delete(once)) done(error);
    };
    uncalled.add(once);
    return once;
  };
  res.write = ((chunk: unknown, encoding: BufferEncoding) =>
    plainWrite.call(res, chunk, encoding, waiting.shift())) as typeof plainWrite;
  res.once('close', () => {
    for (const done of uncalled) done(res.writableFinished ? undefined : closedError());
  });

  return () => {
    const { write, end } = res;
    res.write = ((...given: unknown[]) => {
      const { chunk, encoding, done } = writeArguments(given);
      if (done && res.closed) process.nextTick(done, closedError());
      else if (done) waiting.push(tracked(done));
      return write.call(res, chunk, encoding);
    }) as typeof write;
    res.end = ((...given: unknown[]) => {
      const { chunk, encoding, done } = writeArguments(given);
      if (done) res.once('finish', done);
      end.call(res, chunk, encoding);
      return res;
    }) as typeof end;
  };
}

function closedError(): Error {
  return new Error('The response was closed before the chunk was sent.');
}

/** The chunk and the encoding may be left out, the callback comes last (`stream.Writable`). */
function writeArguments(given: readonly unknown[]): {
  chunk: unknown;
  encoding: BufferEncoding;
  done: Done | undefined;
} {
  const done = given.find((argument) => typeof argument === 'function') as Done | undefined;
  const [chunk, encoding] = given.filter((argument) => typeof argument !== 'function');
  return { chunk, encoding: encoding as BufferEncoding, done };
}
