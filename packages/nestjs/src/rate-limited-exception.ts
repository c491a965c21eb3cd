import { HttpException } from '@nestjs/common';
import { type Limiter, type Refused, rateLimitHeaders } from '@warmpath/core/limiter';

/** A `@RateLimited` method was over its limit and did not run. Over HTTP: status 429, or 503 where nobody can tell. */
export class RateLimitedException extends HttpException {
  /** The name of the limiter that refused. */
  readonly limiter: string;
  readonly decision: Refused;
  /** `Retry-After`, `RateLimit` and `RateLimit-Policy`: set by the module over HTTP, of use elsewhere. */
  readonly headers: Readonly<Record<string, string>>;

  /** @param policy what the headers call the limit; the limiter's name may be that of a class, which is not the client's business */
  constructor(limiter: Pick<Limiter, 'name'>, decision: Refused, policy: string = 'default') {
    const { waitMs, reason } = decision;
    const again = Number.isFinite(waitMs) ? { retryAfterMs: Math.ceil(waitMs) } : {};
    const [status, error] =
      reason === 'store-unavailable' ? ([503, 'Service Unavailable'] as const) : ([429, 'Too Many Requests'] as const);
    super({ statusCode: status, error, message: sentence(decision), ...again }, status);
    this.limiter = limiter.name;
    this.decision = decision;
    this.headers = rateLimitHeaders({ name: policy }, decision);
  }
}

function sentence({ reason, dimension, dimensions, waitMs }: Refused): string {
  const again = Number.isFinite(waitMs) ? ` Try again in ${Math.max(1, Math.ceil(waitMs / 1000))} s.` : '';
  if (reason === 'store-unavailable') return `Whether there is room cannot be told at the moment.${again}`;
  const { limit = 0, unit = 'requests', windowMs = 0 } = dimensions.find((each) => each.dimension === dimension) ?? {};
  const amount = unit === 'requests' || windowMs === 0 ? `${limit}` : `${limit} ${unit}`;
  return `The limit is ${amount} ${windowMs === 0 ? 'at a time' : `in ${windowMs / 1000} s`}.${again}`;
}
