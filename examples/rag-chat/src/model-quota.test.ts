import { describe, expect, it } from 'vitest';
import { modelQuotaOf } from './model-quota.js';
import { StartError } from './start-error.js';

describe('the quota of the model servers', () => {
  it('is none where nothing is set', () => {
    expect(modelQuotaOf({})).toEqual({ limits: [], notes: [] });
    expect(modelQuotaOf({ MODEL_RPM: ' ' })).toEqual({ limits: [], notes: [] });
  });

  it('is what is set, as a provider counts it', () => {
    const env = {
      MODEL_RPM: '60',
      MODEL_TPM: '90000',
      MODEL_RPD: '1000',
      MODEL_QUOTA_ZONE: 'america/los_angeles',
      MODEL_CONCURRENT: '4',
    };
    expect(modelQuotaOf(env).limits).toEqual([
      { limit: 60, window: '1m' },
      { unit: 'tokens', limit: 90_000, window: '1m' },
      { limit: 1_000, per: 'day', timeZone: 'America/Los_Angeles' },
      { concurrent: 4 },
    ]);
    expect(modelQuotaOf({ MODEL_RPD: '5' }).limits).toEqual([{ limit: 5, per: 'day', timeZone: 'UTC' }]);
  });

  it.each([
    ['MODEL_RPM', '0'],
    ['MODEL_TPM', '1e5'],
    ['MODEL_RPD', '-1'],
    ['MODEL_CONCURRENT', '1.5'],
    ['MODEL_TPM', '90 000'],
  ])('is refused where %s is %s, with what it takes', (name, value) => {
    expect(() => modelQuotaOf({ [name]: value })).toThrow(
      `${name} must be a whole number from 1 to 999999999999.\n  Why:  It is '${value}'.\n  Mend: Correct it, or leave it`,
    );
  });

  it('is refused for a day of no time zone that there is', () => {
    expect(() => modelQuotaOf({ MODEL_RPD: '5', MODEL_QUOTA_ZONE: 'Moon/Sea' })).toThrow(StartError);
    expect(() => modelQuotaOf({ MODEL_QUOTA_ZONE: 'Moon/Sea' })).toThrow(
      "MODEL_QUOTA_ZONE must be the IANA name of a time zone, such as America/Los_Angeles.\n  Why:  It is 'Moon/Sea'.",
    );
  });
});
