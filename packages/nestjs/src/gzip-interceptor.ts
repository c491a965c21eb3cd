import type { ServerResponse } from 'node:http';
import { constants } from 'node:zlib';
import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { checkOptions, rule } from '@warmpath/core/kernel';
import { keepWriteCallbacks, mayCompress } from '@warmpath/core/streaming';
import compression from 'compression';
import type { Observable } from 'rxjs';
import { rawRequest, rawResponse } from './http-response.js';
import type { RawMiddleware } from './request-context.js';

export interface GzipOptions {
  /** Bodies below this many bytes go as they are; of unknown length they are compressed. Default 1,024. */
  readonly threshold?: number;
  /** From 1 (fast) to 9 (small). Default 6. Brotli, where the client takes it, has its own fixed level 4. */
  readonly level?: number;
}

const compressed = new WeakSet<ServerResponse>();

/**
 * Compresses answers on the way out: Brotli, gzip or deflate, as the client prefers. Each write leaves at once. What cannot
 * be compressed, what is too small, ranges, and what comes piece by piece (event streams, NDJSON) passes as it is. Use it
 * on a class, a method or the app: `app.useGlobalInterceptors(new GzipInterceptor())`. Exceptions of handlers are
 * compressed too; those of guards, which run before interceptors, are not. An answer of secrets beside text that its
 * client chose should go without it (BREACH).
 */
@Injectable()
export class GzipInterceptor implements NestInterceptor {
  readonly #compress: RawMiddleware;

  /** @throws WarmpathError `WP_BAD_OPTION` */
  constructor(options: GzipOptions = {}) {
    checkOptions('new GzipInterceptor()', options, { threshold: rule.integer(0), level: rule.integer(1, 9) });
    const { threshold = 1_024, level = 6 } = options;
    this.#compress = compression({
      threshold,
      level,
      flush: constants.Z_SYNC_FLUSH,
      brotli: { flush: constants.BROTLI_OPERATION_FLUSH, params: { [constants.BROTLI_PARAM_QUALITY]: 4 } },
      filter: (req, res) => mayCompress(res) && compression.filter(req, res),
    }) as unknown as RawMiddleware;
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() === 'http') {
      const response = rawResponse(context);
      if (!response.headersSent && !compressed.has(response)) {
        compressed.add(response);
        const wrapCompressed = keepWriteCallbacks(response);
        this.#compress(rawRequest(context), response, wrapCompressed);
      }
    }
    return next.handle();
  }
}
