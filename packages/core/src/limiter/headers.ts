import type { Decision, Limiter } from './limiter.js';

/**
 * What a client is told of a decision: `RateLimit-Policy` and `RateLimit` (IETF draft-ietf-httpapi-ratelimit-headers-10,
 * Structured Fields) on every answer, `Retry-After` (RFC 9110 §10.2.3, whole seconds, rounded up) on a refusal. The `t` of
 * `RateLimit` says when there will be more than now: a whole unit more, or on a refusal enough for the same request.
 */
export function rateLimitHeaders(
  limiter: Pick<Limiter, 'name' | 'limit' | 'windowMs'>,
  decision: Decision,
): Record<string, string> {
  const policy = quoted(limiter.name);
  const unitMs = limiter.windowMs / limiter.limit;
  const waitMs = decision.ok ? decision.resetMs % unitMs || Math.min(decision.resetMs, unitMs) : decision.waitMs;
  const again = waitMs > 0 && Number.isFinite(waitMs) ? `;t=${Math.max(1, seconds(waitMs))}` : '';
  const headers: Record<string, string> = {
    'RateLimit-Policy': `${policy};q=${Math.min(Math.floor(limiter.limit), largest)};w=${Math.max(1, seconds(limiter.windowMs))}`,
    RateLimit: `${policy};r=${Math.min(decision.remaining, largest)}${again}`,
  };
  if (!decision.ok && Number.isFinite(waitMs)) headers['Retry-After'] = String(Math.max(1, seconds(waitMs)));
  return headers;
}

/** The largest Structured Field Integer (RFC 9651 §3.3.1). */
const largest = 999_999_999_999_999;

function seconds(ms: number): number {
  return Math.min(Math.ceil(ms / 1000 - 1e-9), largest);
}

/** A Structured Field String (RFC 9651 §3.3.3): printable ASCII, with backslash and quote escaped. */
function quoted(text: string): string {
  return `"${text.replace(/[^ -~]/g, '?').replace(/[\\"]/g, '\\$&')}"`;
}
