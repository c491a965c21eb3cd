import { httpDateOf } from './http-date.js';

/** Reads one header of a response, whatever holds them. */
export type HeaderReader = (name: string) => string | null | undefined;

const decimal = /^\d+(?:\.\d+)?$/;

/**
 * How long a server asks to be left alone, in milliseconds: `retry-after-ms` (OpenAI), `x-ms-retry-after-ms` (Azure), or
 * `retry-after` in seconds, here with fractions, or as an HTTP date (RFC 9110 section 10.2.3). A date counts from the
 * response's own `date` header, so that no clock has to agree with the server's. 0 for what is past; undefined for what is none of
 * these, such as a negative number. However long it is, it is told as it is.
 * @param wallMs milliseconds since 1970, for a date in a response that has none of its own
 */
export function parseRetryAfter(header: HeaderReader, wallMs?: number): number | undefined {
  const ms = amountOf(header('retry-after-ms')) ?? amountOf(header('x-ms-retry-after-ms'));
  if (ms !== undefined) return ms;
  const said = header('retry-after')?.trim();
  if (!said) return undefined;
  if (decimal.test(said)) return bounded(Number(said) * 1_000);
  const sent = header('date')?.trim();
  const sentMs = (sent ? httpDateOf(sent, wallMs ?? Number.NaN) : undefined) ?? wallMs;
  const until = sentMs === undefined ? undefined : httpDateOf(said, sentMs);
  return until === undefined || sentMs === undefined ? undefined : Math.max(0, until - sentMs);
}

function amountOf(text: string | null | undefined): number | undefined {
  const trimmed = text?.trim();
  return trimmed && decimal.test(trimmed) ? bounded(Number(trimmed)) : undefined;
}

/** Without the noise of binary fractions (1.1 * 1000 is 1100.0000000000002), and finite however many digits were sent. */
function bounded(ms: number): number {
  return Math.min(Number(ms.toPrecision(14)), Number.MAX_SAFE_INTEGER);
}
