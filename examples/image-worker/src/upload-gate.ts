import type { IncomingMessage, ServerResponse } from 'node:http';
import { Logger } from '@nestjs/common';
import { type Problem, problemHeaders } from '@warmpath/core/kernel';
import sharp from 'sharp';

/** What sharp does for one image: metadata, measurements, two renditions. */
const operationsPerImage = 4;
const full: Problem = {
  type: 'about:blank',
  title: 'Service unavailable',
  status: 503,
  detail: 'The worker has as many uploads as it takes at once. Try again in a moment.',
  retryAfterMs: 1_000,
};

/**
 * Middleware before the body parsers, which hold whole images in memory: past `most` uploads under way it refuses more
 * with 503. Sharp itself works on as many operations at a time as libuv has threads (4) and queues the rest; what waits
 * there counts as well, since clients who leave do not take their images out of that queue.
 */
export function uploadGate(most: number) {
  const log = new Logger('Uploads');
  const mostQueued = most * operationsPerImage;
  let underWay = 0;

  return function uploadGate(request: IncomingMessage, response: ServerResponse, next: () => void): void {
    const { queue } = sharp.counters();
    const isUpload = request.method === 'POST';
    if (isUpload && (underWay >= most || queue > mostQueued)) {
      const { retryAfterMs: _, ...document } = full;
      log.warn(
        `POST ${request.url?.slice(0, 100)} was refused with 503: of ${most} uploads ${underWay} are under way, of ${mostQueued} operations ${queue} wait.`,
      );
      response.writeHead(full.status, problemHeaders(full)).end(JSON.stringify(document));
      return;
    }
    if (isUpload) {
      underWay++;
      response.once('close', () => underWay--);
    }
    next();
  };
}
