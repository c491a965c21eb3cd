const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `'250ms'`, `'30s'`, `'5m'`, `'1.5h'`, `'7d'`, or a number of milliseconds. The one way to write a time span. */
export type Duration = number | `${number}${keyof typeof unitMs}`;

const pattern = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** The milliseconds of a duration, or undefined for anything that is not a finite duration of 0 or more. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const match = pattern.exec(value);
  if (!match) return undefined;
  const ms = Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
  if (!Number.isFinite(ms)) return undefined;
  return Number.isInteger(ms) ? ms : Number(ms.toPrecision(15)); // 1.001 * 1000 is 1000.9999999999999
}

/** The milliseconds of a duration that an option check has let through. */
export function durationMs(duration: Duration): number {
  const ms = parseDuration(duration);
  if (ms === undefined)
    throw new RangeError(`'${duration}' is not a duration such as '250ms', '30s', '5m', '1h' or '7d'.`);
  return ms;
}
