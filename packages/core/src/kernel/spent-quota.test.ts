import { describe, expect, it } from 'vitest';
import { failureClass, WarmpathError } from './index.js';

const failing = (fields: object, message = 'x'): Error => Object.assign(new Error(message), fields);

describe('a quota that is spent for longer than anybody waits', () => {
  const perDay = [{ violations: [{ quotaId: 'GenerateRequestsPerDayPerProjectPerModel-FreeTier' }] }];
  it.each<[string, object, string?]>([
    ['OpenAI, by code', { code: 'insufficient_quota' }],
    ['OpenAI, by type', { type: 'insufficient_quota', code: null }],
    ['OpenAI, in the body', { error: { type: 'insufficient_quota' } }],
    ['the body as it came', { error: { error: { code: 'insufficient_quota' } } }],
    [
      'OpenAI, by its words alone',
      {},
      '429 You exceeded your current quota, please check your plan. See platform.openai.com',
    ],
    ['Anthropic', { error: { type: 'error', error: { type: 'billing_error' } } }],
    ['Anthropic, by its words', {}, 'Your credit balance is too low to access the API.'],
    [
      'Groq',
      {},
      'Rate limit reached on tokens per day (TPD): Limit 100000, Used 97050. Please try again in 9m38.016s.',
    ],
    ['Mistral', {}, 'Requests per day (RPD) exceeded'],
    ['Bedrock', { name: 'ThrottlingException' }, 'Too many tokens per day, please wait before trying again.'],
    ['OpenRouter', {}, 'Rate limit exceeded: free-models-per-day.'],
    ['Gemini, by the id of its quota', { error: { status: 'RESOURCE_EXHAUSTED', details: perDay } }],
    ['Gemini, by its older client', { errorDetails: perDay }],
    ['Gemini, in the text of its newer client', {}, JSON.stringify({ error: { code: 429, details: perDay } })],
    ['a client that says it can be retried', { code: 'insufficient_quota', isRetryable: true }],
    ['a body kept as text', { responseBody: '{"error":{"message":"Limit on tokens per day (TPD)"}}' }],
  ])('is permanent though its status is 429: %s', (_, fields, message) => {
    expect(failureClass(failing({ status: 429, ...fields }, message))).toBe('permanent');
    expect(failureClass(failing(fields, message))).toBe('permanent');
  });

  const perMinute = [{ violations: [{ quotaId: 'GenerateRequestsPerMinutePerProjectPerModel-FreeTier' }] }];
  it.each<[string, object, string?]>([
    [
      'OpenAI',
      { code: 'rate_limit_exceeded', type: 'tokens' },
      'Rate limit reached on tokens per min (TPM): Limit 10000',
    ],
    [
      'Groq',
      {},
      'tokens per minute (TPM): Limit 6000. Need more? Upgrade today at https://console.groq.com/settings/billing',
    ],
    ['Anthropic', { error: { error: { type: 'rate_limit_error' } } }, 'would exceed 50,000 input tokens per minute'],
    ['OpenRouter', {}, 'Rate limit exceeded: free-models-per-min.'],
    [
      'Gemini, whose words for a minute are those of OpenAI for an empty account',
      { error: { details: perMinute } },
      'You exceeded your current quota, please check your plan and billing details. See https://ai.google.dev/gemini-api/docs/rate-limits. Please retry in 12.3s.',
    ],
  ])('is not what passes within a minute: %s', (_, fields, message) => {
    expect(failureClass(failing({ status: 429, ...fields }, message))).toBe('throttled');
  });

  it('is found in what one of our services answered, and not in an error with another status', () => {
    const error = Object.assign(new WarmpathError('WP_HTTP_STATUS', 'x', { details: { status: 429 } }), {
      body: '{"error":"daily limit reached"}',
    });
    expect(failureClass(error)).toBe('permanent');
    expect(failureClass(failing({ status: 503 }, 'exceeded 20 runs per day'))).toBe('transient');
    expect(failureClass(new Error('The report of sales per day failed.'))).toBe('transient');
  });
});
