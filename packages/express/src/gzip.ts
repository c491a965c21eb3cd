import { constants } from 'node:zlib';
import { isEventStream, keepWriteCallbacks } from '@warmpath/core/streaming';
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
    const wrapCompressed = keepWriteCallbacks(res);
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
