/** A way in which a server says when to come back. */
export interface RetryAfterForm {
  readonly form: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What it means; undefined where it says nothing that can be used. */
  readonly ms: number | undefined;
}

const date = 'Sun, 01 Mar 2026 10:00:00 GMT';

/** The header in seconds and as a date (RFC 9110, sections 10.2.3 and 5.6.7), what providers use besides, and what is wrong. */
export const retryAfterForms: readonly RetryAfterForm[] = [
  { form: 'seconds', headers: { 'retry-after': '7' }, ms: 7_000 },
  { form: 'a fraction of seconds', headers: { 'retry-after': '0.25' }, ms: 250 },
  { form: 'zero', headers: { 'retry-after': '0' }, ms: 0 },
  { form: 'milliseconds', headers: { 'retry-after-ms': '1500', 'retry-after': '9' }, ms: 1_500 },
  { form: 'milliseconds of Azure', headers: { 'x-ms-retry-after-ms': '800' }, ms: 800 },
  { form: 'an IMF date', headers: { date, 'retry-after': 'Sun, 01 Mar 2026 10:00:07 GMT' }, ms: 7_000 },
  { form: 'an RFC 850 date', headers: { date, 'retry-after': 'Sunday, 01-Mar-26 10:00:07 GMT' }, ms: 7_000 },
  { form: 'an asctime date', headers: { date, 'retry-after': 'Sun Mar  1 10:00:07 2026' }, ms: 7_000 },
  { form: 'a date that has passed', headers: { date, 'retry-after': 'Sun, 01 Mar 2026 09:00:00 GMT' }, ms: 0 },
  { form: 'garbage', headers: { 'retry-after': 'soon' }, ms: undefined },
  { form: 'a negative number', headers: { 'retry-after': '-5' }, ms: undefined },
  { form: 'nothing', headers: {}, ms: undefined },
];
