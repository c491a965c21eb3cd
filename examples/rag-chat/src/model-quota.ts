import type { Limit } from '@warmpath/core';
import { type Environment, set } from './environment.js';
import { StartError } from './start-error.js';

const defaultZone = 'UTC';
const zoneUnused =
  'MODEL_QUOTA_ZONE is not used, since MODEL_RPD is not set: it says where the day of that quota begins.';

/**
 * What a model server may be asked, as providers put it: requests and tokens a minute, requests a day, requests at the same time.
 * @throws StartError naming the variable, what came and what it takes
 */
export function modelQuotaOf(env: Environment): {
  readonly limits: readonly Limit[];
  readonly notes: readonly string[];
} {
  const requests = countOf(env, 'MODEL_RPM');
  const tokens = countOf(env, 'MODEL_TPM');
  const daily = countOf(env, 'MODEL_RPD');
  const concurrent = countOf(env, 'MODEL_CONCURRENT');
  const zone = set(env, 'MODEL_QUOTA_ZONE');
  const timeZone = zone === undefined ? defaultZone : zoneOf(zone);
  const limits: (Limit | undefined)[] = [
    requests === undefined ? undefined : { limit: requests, window: '1m' },
    tokens === undefined ? undefined : { unit: 'tokens', limit: tokens, window: '1m' },
    daily === undefined ? undefined : { limit: daily, per: 'day', timeZone },
    concurrent === undefined ? undefined : { concurrent },
  ];
  const notes = zone !== undefined && daily === undefined ? [zoneUnused] : [];
  return { limits: limits.filter((limit) => limit !== undefined), notes };
}

function countOf(env: Environment, name: string): number | undefined {
  const value = set(env, name);
  if (value === undefined) return undefined;
  const count = /^\d{1,12}$/.test(value) ? Number(value) : 0;
  if (count > 0) return count;
  throw new StartError(
    `${name} must be a whole number from 1 to 999999999999.`,
    `It is '${value}'.`,
    'Correct it, or leave it out for no such limit.',
  );
}

function zoneOf(value: string): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: value }).resolvedOptions().timeZone;
  } catch (error) {
    throw new StartError(
      'MODEL_QUOTA_ZONE must be the IANA name of a time zone, such as America/Los_Angeles.',
      `It is '${value}'.`,
      `Correct it, or leave it out for ${defaultZone}.`,
      { cause: error },
    );
  }
}
