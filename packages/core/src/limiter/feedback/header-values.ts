import { httpDateOf, instantOf } from '../../kernel/index.js';

/** No quota period is longer, so what claims to be counts as this: a leap year. */
export const longestMs: number = 366 * 86_400_000;

const decimal = /^\d+(?:\.\d+)?$/;

/** A number from 0 up, or undefined: some servers say -1 for a limit they do not have. At most the largest safe integer. */
export function countOf(text: string | undefined): number | undefined {
  const trimmed = text?.trim() ?? '';
  return decimal.test(trimmed) ? Math.min(Number(trimmed), Number.MAX_SAFE_INTEGER) : undefined;
}

/** Whole milliseconds, rounded up so that nobody comes back too early, and clamped to what a wait can be. */
export function boundedMs(ms: number): number {
  return Math.min(Math.max(0, Math.ceil(Number(ms.toPrecision(14)))), longestMs); // 1.1 * 1000 is 1100.0000000000002
}

const unitMs: Readonly<Record<string, number>> = {
  d: 86_400_000,
  h: 3_600_000,
  m: 60_000,
  s: 1_000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
};
const duration = /^(?:\d+(?:\.\d+)?(?:ms|us|µs|ns|d|h|m|s))+$/;
const durationPart = /(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)/g;

/** Milliseconds of `6m0s`, `20ms`, `7.66s`, as Go prints durations and OpenAI's headers have them. */
export function durationOf(text: string): number | undefined {
  if (!duration.test(text)) return undefined;
  let ms = 0;
  for (const [, amount, unit = ''] of text.matchAll(durationPart)) ms += Number(amount) * (unitMs[unit] ?? 0);
  return ms;
}

/**
 * A bare number from here up is an instant rather than a number of seconds from now: as seconds, 1e9 is the year 2001 or a
 * wait of 31 years, and as milliseconds 1e11 is 1973.
 */
const firstEpochSecond = 1e9;
const firstEpochMs = 1e11;

/**
 * Milliseconds until a reset, from any of the ways in which servers write one: seconds, a duration with units, seconds or
 * milliseconds since 1970, an RFC 3339 instant, an HTTP date. 0 where it is past.
 */
export function resetMsOf(text: string | undefined, wallMs: number): number | undefined {
  const trimmed = text?.trim() ?? '';
  if (decimal.test(trimmed)) {
    const value = Number(trimmed);
    if (value >= firstEpochMs) return boundedMs(value - wallMs);
    return boundedMs(value >= firstEpochSecond ? value * 1_000 - wallMs : value * 1_000);
  }
  const ms = durationOf(trimmed);
  if (ms !== undefined) return boundedMs(ms);
  const instant = rfc3339Of(trimmed) ?? httpDateOf(trimmed, wallMs);
  return instant === undefined ? undefined : boundedMs(instant - wallMs);
}

const rfc3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))$/;

function rfc3339Of(text: string): number | undefined {
  const found = rfc3339.exec(text);
  if (!found) return undefined;
  const [, year, month, day, hour, minute, second, fraction = '0', sign = '+', hours = '0', minutes = '0'] = found;
  const instant = instantOf(Number(year), Number(month) - 1, Number(day), [hour, minute, second].map(Number));
  if (instant === undefined || Number(hours) > 23 || Number(minutes) > 59) return undefined;
  const offsetMs = (Number(hours) * 60 + Number(minutes)) * 60_000 * (sign === '-' ? -1 : 1);
  return instant + Number(fraction) * 1_000 - offsetMs;
}
