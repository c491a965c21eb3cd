import { WarmpathError } from '../../kernel/index.js';
import type { OpenCause } from './contract.js';
import type { BreakerTerms } from './options.js';

/** @param retryAfterMs Infinity: nobody knows */
export function openError(
  terms: BreakerTerms,
  cause: OpenCause,
  isProbed: boolean,
  retryAfterMs: number,
): WarmpathError {
  const { name } = terms;
  const next = isProbed
    ? 'It is being tried again right now'
    : retryAfterMs === Number.POSITIVE_INFINITY
      ? 'Nobody knows until when'
      : `It is tried again in ${Math.ceil(retryAfterMs)} ms`;
  return new WarmpathError('WP_BREAKER_OPEN', `'${name}' is left alone: ${reasonOf(cause, terms)}. ${next}.`, {
    details: {
      name,
      why: cause.why,
      ...(retryAfterMs < Number.POSITIVE_INFINITY && { retryAfterMs }),
      retryable: false,
    },
  });
}

function reasonOf({ why, calls, failures, slow }: OpenCause, terms: BreakerTerms): string {
  const { windowMs, slowCallMs, consecutive } = terms;
  const which = windowMs === undefined ? `the last ${calls} calls` : `${calls} calls in ${windowMs / 1_000} s`;
  switch (why) {
    case 'consecutive':
      return `${consecutive} calls in a row have failed`;
    case 'failure-rate':
      return `${percent(failures, calls)} of ${which} have failed`;
    case 'slow-rate':
      return `${percent(slow, calls)} of ${which} took ${slowCallMs} ms or longer`;
    case 'probes':
      return `${failures} of ${calls} probes have failed${slow > 0 ? `, ${slow} took ${slowCallMs} ms or longer` : ''}`;
    case 'held':
      return 'it is held open';
  }
}

function percent(part: number, whole: number): string {
  return `${Math.round((part / whole) * 100)} %`;
}
