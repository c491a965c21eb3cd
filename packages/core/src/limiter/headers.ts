import type { Decision, DimensionStanding } from './contract.js';

/**
 * What a client is told of a decision: `RateLimit-Policy` and `RateLimit` (IETF draft-ietf-httpapi-ratelimit-headers-10,
 * Structured Fields) on every answer, `Retry-After` (RFC 9110 §10.2.3, whole seconds, rounded up) on a refusal. Each limit is a
 * policy; where there are several, each has its own name behind that of the limiter. The `t` of `RateLimit` says when all of
 * it is there again, or, of a limit that refuses, when there is enough for the same request.
 */
export function rateLimitHeaders(limiter: { readonly name: string }, decision: Decision): Record<string, string> {
  const { dimensions } = decision;
  const named = dimensions.map((standing) => ({
    standing,
    name: quoted(dimensions.length > 1 ? `${limiter.name}:${standing.dimension}` : limiter.name),
  }));
  const headers: Record<string, string> = {
    'RateLimit-Policy': named.map(({ name, standing }) => name + policyOf(standing)).join(', '),
  };
  // Where nobody has counted, nobody knows what is left.
  if (decision.decidedBy !== 'none') {
    headers.RateLimit = named.map(({ name, standing }) => name + stateOf(standing)).join(', ');
  }
  if (decision.ok || !Number.isFinite(decision.waitMs)) return headers;
  return { ...headers, 'Retry-After': String(Math.max(1, seconds(decision.waitMs))) };
}

function policyOf({ limit, windowMs, unit }: DimensionStanding): string {
  const window = windowMs === 0 ? '' : `;w=${Math.max(1, seconds(windowMs))}`;
  return `;q=${Math.min(Math.floor(limit), largest)}${quotaUnit(unit)}${window}`;
}

/** §3 of the draft names these units; others carry a prefix. */
function quotaUnit(unit: string): string {
  if (unit === 'requests') return '';
  return `;qu=${quoted(unit === 'concurrency' ? 'concurrent-requests' : `warmpath-${unit}`)}`;
}

/** Places come back when calls end, and nobody knows when. */
function stateOf({ remaining, resetMs, waitMs, windowMs }: DimensionStanding): string {
  const againMs = windowMs === 0 ? 0 : waitMs > 0 ? waitMs : resetMs;
  const again = againMs > 0 && Number.isFinite(againMs) ? `;t=${Math.max(1, seconds(againMs))}` : '';
  return `;r=${Math.min(remaining, largest)}${again}`;
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
