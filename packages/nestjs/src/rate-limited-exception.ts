import { HttpException } from '@nestjs/common';
import { type Limiter, type Refused, rateLimitHeaders } from '@warmpath/core/limiter';

/** Problem types that draft-ietf-httpapi-ratelimit-headers-10 registers. */
const quotaExceeded = 'https://iana.org/assignments/http-problem-types#quota-exceeded';
const reducedCapacity = 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity';

/** A `@RateLimited` method was over its limit and did not run. Over HTTP: status 429, or 503 where nobody can tell. */
export class RateLimitedException extends HttpException {
  /** The name of the limiter that refused. */
  readonly limiter: string;
  readonly decision: Refused;
  /** `Retry-After`, `RateLimit` and `RateLimit-Policy`: set by the module over HTTP, of use elsewhere. */
  readonly headers: Readonly<Record<string, string>>;
  /** For retries: what may wait has waited already. */
  readonly retryable = false;
  /** For fallbacks, budgets and breakers: the backend was not asked. */
  readonly phase = 'not-sent';
  /** As problem documents (RFC 9457) say it. */
  readonly problem: { readonly type: string; readonly 'violated-policies'?: readonly string[] };

  /** @param policy what the headers call the limit; the limiter's name may be that of a class, which is not the client's business */
  constructor(limiter: Pick<Limiter, 'name'>, decision: Refused, policy: string = 'default') {
    const { waitMs, reason, dimension, dimensions } = decision;
    const again = Number.isFinite(waitMs) ? { retryAfterMs: Math.ceil(waitMs) } : {};
    const isUntold = reason === 'store-unavailable';
    const [status, error] = isUntold ? ([503, 'Service Unavailable'] as const) : ([429, 'Too Many Requests'] as const);
    super({ statusCode: status, error, message: sentence(decision), ...again }, status);
    this.limiter = limiter.name;
    this.decision = decision;
    this.headers = rateLimitHeaders({ name: policy }, decision);
    const violated = dimensions.length > 1 ? `${policy}:${dimension}` : policy;
    this.problem = isUntold ? { type: reducedCapacity } : { type: quotaExceeded, 'violated-policies': [violated] };
  }
}

function sentence(refused: Refused): string {
  const { waitMs } = refused;
  return Number.isFinite(waitMs)
    ? `${said(refused)} Try again in ${Math.max(1, Math.ceil(waitMs / 1000))} s.`
    : said(refused);
}

function said({ reason, dimension, dimensions }: Refused): string {
  if (reason === 'store-unavailable') return 'Whether there is room cannot be told at the moment.';
  if (reason === 'queue-full') return 'As many calls as may wait do.';
  const { limit = 0, unit = 'requests', windowMs = 0 } = dimensions.find((each) => each.dimension === dimension) ?? {};
  if (unit === 'concurrency') return `The limit is ${limit} at a time.`;
  return `The limit is ${limit}${unit === 'requests' ? '' : ` ${unit}`} in ${windowMs / 1000} s.`;
}
