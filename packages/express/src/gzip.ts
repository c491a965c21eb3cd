import { constants } from 'node:zlib';
import { isEventStream } from '@warmpath/core/streaming';
import compression from 'compression';
import type { Request, RequestHandler, Response } from 'express';

/**
 * Compresses answers (brotli, gzip or deflate, as the client accepts) and lets streams through: each write leaves at once
 * (a sync flush), and event streams are not compressed at all, since some proxies and clients hold back compressed ones.
 */
export function gzip(): RequestHandler {
  const compress = compression({
    flush: constants.Z_SYNC_FLUSH,
    brotli: { flush: constants.BROTLI_OPERATION_FLUSH, params: { [constants.BROTLI_PARAM_QUALITY]: 4 } },
    filter: isCompressible,
  });
  return function warmpathGzip(req, res, next) {
    const wrapCompressed = keepCallbacks(res);
    compress(req, res, (error?: unknown) => {
      wrapCompressed();
      next(error);
    });
  };
}

/** A range counts bytes of the answer as it is (RFC 9110 §14.2), so what is sent of it has to stay so too. */
function isCompressible(req: Request, res: Response): boolean {
  if (isEventStream(res.getHeader('Content-Type')) || res.hasHeader('Content-Range')) return false;
  return compression.filter(req, res);
}

type Done = (error?: Error | null) => void;

/**
 * `compression` drops callbacks: a route that waits for one would wait for ever, and `end(callback)` would throw. So
 * `write` and `end` are wrapped on both sides of it: this is called before it, and gives what has to be called after it.
 * Each callback goes with the next chunk that leaves, which without compression is the same chunk, and each is called
 * once: at the latest when the response is closed.
 */
function keepCallbacks(res: Response): () => void {
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
