import { constants } from 'node:zlib';
import { keepWriteCallbacks, mayCompress } from '@warmpath/core/streaming';
import compression from 'compression';
import type { RequestHandler } from 'express';

/**
 * Compresses answers (brotli, gzip or deflate, as the client accepts) and lets streams through: each write leaves at once
 * (a sync flush), and event streams are not compressed at all, since some proxies and clients hold back compressed ones.
 */
export function gzip(): RequestHandler {
  const compress = compression({
    flush: constants.Z_SYNC_FLUSH,
    brotli: { flush: constants.BROTLI_OPERATION_FLUSH, params: { [constants.BROTLI_PARAM_QUALITY]: 4 } },
    filter: (req, res) => mayCompress(res) && compression.filter(req, res),
  });
  return function warmpathGzip(req, res, next) {
    const wrapCompressed = keepWriteCallbacks(res);
    compress(req, res, (error?: unknown) => {
      wrapCompressed();
      next(error);
    });
  };
}
