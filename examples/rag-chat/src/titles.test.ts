import { describe, expect, it } from 'vitest';
import { actionOf, kindsOf, titleOf } from './titles.js';
import { stem } from './tokens.js';

describe('titles', () => {
  const kinds = kindsOf([
    'Agent',
    'ProxyAgent',
    'RetryAgent',
    'MockAgent',
    'RetryHandler',
    'Cache Store',
    'Writing tests',
  ]);

  it('know as a kind what several names end in, and nothing else', () => {
    expect([...kinds]).toEqual(['agent']);
  });

  it.each([
    ['ProxyAgent', ['proxy']],
    ['Socks5ProxyAgent', ['socks5', 'proxy']],
    ['RetryHandler', ['retry', 'handl']],
    ['Agent', ['agent']],
    ['Writing tests', ['writ', 'test']],
  ])('"%s" are about %j', (title, subject) => {
    expect(titleOf(title, kinds).subject).toEqual(subject);
  });

  it('keep a name whole among their terms', () => {
    expect(titleOf('The ProxyAgent', kinds).title).toEqual(['proxyagent']);
  });

  it.each([
    ['deleteCookie(headers, name[, attributes])', 'delete'],
    ['mockAgent.assertNoPendingInterceptors([options])', 'assert'],
    ['interceptors.cache([opts])', 'cache'],
    ['client.closed', ''],
  ])('the heading %s does "%s"', (heading, verb) => {
    expect(actionOf(heading)).toBe(stem(verb));
  });
});
