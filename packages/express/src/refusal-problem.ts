import type { Refused } from '@warmpath/core';
import type { Problem } from '@warmpath/core/kernel';

/** Problem types that draft-ietf-httpapi-ratelimit-headers-10 registers. */
const quotaExceeded = 'https://iana.org/assignments/http-problem-types#quota-exceeded';
const reducedCapacity = 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity';

export interface RefusalProblem extends Problem {
  readonly 'violated-policies'?: readonly string[];
}

/** A refusal as its client is told of it. Over the limit is 429; that nobody can tell is the server's own fault: 503. */
export function refusalProblem(policy: string, refused: Refused): RefusalProblem {
  const { waitMs, reason, dimension, dimensions } = refused;
  const again = Number.isFinite(waitMs) ? ` Try again in ${Math.max(1, Math.ceil(waitMs / 1000))} s.` : '';
  if (reason === 'store-unavailable') {
    return {
      type: reducedCapacity,
      title: 'Service unavailable',
      status: 503,
      detail: `Whether '${policy}' has room cannot be told at the moment.${again}`,
    };
  }
  return {
    type: quotaExceeded,
    title: 'Too many requests',
    status: 429,
    detail: `${saidOf(policy, refused)}${again}`,
    'violated-policies': [dimensions.length > 1 ? `${policy}:${dimension}` : policy],
  };
}

function saidOf(policy: string, { reason, dimension, dimensions }: Refused): string {
  if (reason === 'impossible') return `This request costs more than '${policy}' ever allows at once.`;
  if (reason === 'queue-full') return `As many requests as may wait for '${policy}' do.`;
  const { limit = 0, unit, windowMs = 0 } = dimensions.find((each) => each.dimension === dimension) ?? {};
  if (unit === 'concurrency') return `'${policy}' allows ${limit} requests at a time.`;
  return `'${policy}' allows ${limit} ${unit} in ${windowMs / 1000} s.`;
}
