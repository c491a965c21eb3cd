import { httpDateOf, parseRetryAfter } from '../../kernel/index.js';
import { boundedMs } from './header-values.js';
import type { Fields, ProviderLimits } from './provider-limits.js';
import { readRateLimitFields } from './ratelimit-fields.js';
import { readVendorFields } from './vendor-fields.js';

export type ProviderHeaders =
  | Headers
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | Iterable<readonly [string, string]>;

/** A response is not ours: more than this of what concerns limits is passed over. */
const maxFields = 64;
const maxFieldLength = 1_024;
const maxNameLength = 100;

const ofConcern = /^(?:date|(?:x-ms-)?retry-after-ms|retry-after|(?:x-|anthropic-)?rate-?limit.*)$/;

/**
 * What a provider's answer says about its limits. A field that is malformed counts as absent, huge numbers as the largest
 * that make sense; nothing throws. Instants count from the answer's own `Date`, so that no clock has to agree with another.
 * @param wallMs milliseconds since 1970, where the answer has no date
 */
export function readProviderHeaders(headers: ProviderHeaders, wallMs: number): ProviderLimits {
  const fields = fieldsOf(headers);
  const sentMs = httpDateOf(fields.get('date')?.trim() ?? '', wallMs) ?? wallMs;
  const askedMs = parseRetryAfter((name) => fields.get(name), wallMs);
  const dimensions = [...readRateLimitFields(fields), ...readVendorFields(fields, sentMs)];
  return { ...(askedMs === undefined ? {} : { retryAfterMs: boundedMs(askedMs) }), dimensions };
}

/** Several fields of one name are one list (RFC 9110 section 5.3), which for a single value means that it is malformed. */
function fieldsOf(headers: ProviderHeaders): Fields {
  const fields = new Map<string, string>();
  for (const pair of pairsOf(headers)) {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string') continue;
    const [name, value] = pair;
    const key = name.toLowerCase();
    if (key.length > maxNameLength || !ofConcern.test(key)) continue;
    const text = Array.isArray(value) ? value.join(', ') : value;
    const before = fields.get(key);
    if (typeof text !== 'string' || (before === undefined && fields.size >= maxFields)) continue;
    const joined = before === undefined ? text : `${before}, ${text}`;
    fields.set(key, joined.length <= maxFieldLength ? joined : '');
  }
  return fields;
}

/** What comes from a client without types may be anything. */
function pairsOf(headers: ProviderHeaders): Iterable<unknown> {
  if (typeof headers !== 'object' || headers === null) return [];
  return isIterable(headers) ? headers : Object.entries(headers);
}

function isIterable(headers: ProviderHeaders): headers is Headers | Iterable<readonly [string, string]> {
  return Symbol.iterator in headers && typeof headers[Symbol.iterator] === 'function';
}
