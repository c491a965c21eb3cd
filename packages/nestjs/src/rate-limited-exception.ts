import { HttpException } from '@nestjs/common';
import { type Decision, type Limiter, rateLimitHeaders } from '@warmpath/core/limiter';

export type Refusal = Extract<Decision, { readonly ok: false }>;

/** A `@RateLimited` method was over its limit and did not run. Over HTTP: status 429. */
export class RateLimitedException extends HttpException {
  /** The name of the limiter that refused. */
  readonly limiter: string;
  readonly decision: Refusal;
  /** `Retry-After`, `RateLimit` and `RateLimit-Policy`: set by the module over HTTP, of use elsewhere. */
  readonly headers: Readonly<Record<string, string>>;

  /** @param policy what the headers call the limit; the limiter's name may be that of a class, which is not the client's business */
  constructor(limiter: Pick<Limiter, 'name' | 'limit' | 'windowMs'>, decision: Refusal, policy: string = 'default') {
    const { waitMs } = decision;
    const again = Number.isFinite(waitMs) ? { retryAfterMs: Math.ceil(waitMs) } : {};
    super({ statusCode: 429, error: 'Too Many Requests', message: sentence(limiter, waitMs), ...again }, 429);
    this.limiter = limiter.name;
    this.decision = decision;
    this.headers = rateLimitHeaders({ ...limiter, name: policy }, decision);
  }
}

function sentence({ limit, windowMs }: Pick<Limiter, 'limit' | 'windowMs'>, waitMs: number): string {
  const rate = `The limit is ${limit} in ${windowMs / 1000} s`;
  return Number.isFinite(waitMs) ? `${rate}. Try again in ${Math.max(1, Math.ceil(waitMs / 1000))} s.` : `${rate}.`;
}
