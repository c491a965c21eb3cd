const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const imfFixdate = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d) GMT$/;
const rfc850 =
  /^(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday), (\d\d)-([A-Z][a-z]{2})-(\d\d) (\d\d:\d\d:\d\d) GMT$/;
const asctime = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ([A-Z][a-z]{2}) ([ \d]\d) (\d\d:\d\d:\d\d) (\d{4})$/;

/**
 * Milliseconds since 1970 of an HTTP date in any of its three forms (RFC 9110 section 5.6.7); undefined for anything else.
 * @param wallMs about now, for the form whose years have two digits
 */
export function httpDateOf(text: string, wallMs: number): number | undefined {
  const fixed = imfFixdate.exec(text);
  if (fixed) return dateOf(fixed[3], fixed[2], fixed[1], fixed[4]);
  const dashed = rfc850.exec(text);
  if (dashed) return inThisCentury(dashed, wallMs);
  const spelt = asctime.exec(text);
  return spelt ? dateOf(spelt[4], spelt[1], spelt[2], spelt[3]) : undefined;
}

/** Two digits of a year that would be more than 50 years ahead mean the last such year (RFC 9110 section 5.6.7). */
function inThisCentury([, day, month, year, time]: RegExpExecArray, wallMs: number): number | undefined {
  const halfCenturyMs = 50 * 365.25 * 86_400_000;
  for (const century of [2_100, 2_000, 1_900]) {
    const instant = dateOf(String(century + Number(year)), month, day, time);
    if (instant !== undefined && instant <= wallMs + halfCenturyMs) return instant;
  }
  return undefined;
}

function dateOf(year = '', month = '', day = '', time = ''): number | undefined {
  return instantOf(Number(year), months.indexOf(month), Number(day), time.split(':').map(Number));
}

/**
 * Milliseconds since 1970 of a day and the hour, minute and second of it, in UTC. Undefined for what is in no calendar; a leap
 * second counts as the one after it.
 * @param month from 0
 */
export function instantOf(year: number, month: number, day: number, time: readonly number[]): number | undefined {
  const [hour = 99, minute = 99, second = 99] = time;
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  const date = new Date(Date.UTC(year, month, day));
  if (date.getUTCMonth() !== month || date.getUTCDate() !== day) return undefined;
  return date.getTime() + ((hour * 60 + minute) * 60 + second) * 1_000;
}
