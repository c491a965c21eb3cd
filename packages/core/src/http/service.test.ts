import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { poolSettings } from './options.js';
import { Service } from './service.js';

const serviceAt = (baseUrl?: string): Service =>
  new Service(poolSettings('createHttpPool()', baseUrl === undefined ? {} : { baseUrl }));

describe('the address of a service', () => {
  it.each([
    ['https://host', '/chat', '/chat'],
    ['https://host', 'chat', '/chat'],
    ['https://host', '', '/'],
    ['https://host', '?q=1', '/?q=1'],
    ['https://host/v1', '/chat', '/v1/chat'],
    ['https://host/v1/', 'chat', '/v1/chat'],
    ['https://host/v1/', '/chat/', '/v1/chat/'],
    ['https://host/v1', '', '/v1'],
    ['https://host/v1', '?q=1', '/v1?q=1'],
    ['https://host/v1', '/a b/ü?x=ß#part', '/v1/a%20b/%C3%BC?x=%C3%9F'],
    ['https://host/v1', '/a/../b', '/v1/b'],
    ['https://host/v1', '/models/gpt-4.1', '/v1/models/gpt-4.1'],
    ['https://host/v1', '//evil.example/x', '/v1//evil.example/x'],
    ['https://host', '//evil.example/x', '//evil.example/x'],
    ['https://host', '/@evil.example', '/@evil.example'],
  ])('joins %s and %s', (baseUrl, path, joined) => {
    expect(serviceAt(baseUrl).target(path)).toEqual({ origin: 'https://host', path: joined });
  });

  it.each(['../admin', '/..', '/a/../../admin', '/%2e%2e/admin', '/..\\admin'])(
    'does not leave its base path: %s',
    (path) => {
      expect(() => serviceAt('https://host/v1').target(path)).toThrow("option 'path' must be one below the 'baseUrl'");
    },
  );

  it('takes other addresses as they are', () => {
    const service = serviceAt('https://host/v1');
    expect(service.target('http://other:81/x?y=1#z')).toEqual({ origin: 'http://other:81', path: '/x?y=1' });
    expect(service.target(new URL('https://host/elsewhere'))).toEqual({ origin: 'https://host', path: '/elsewhere' });
    expect([service.owns('https://host'), service.owns('http://host'), service.owns('https://host:81')]).toEqual([
      true,
      false,
      false,
    ]);
  });

  it.each(['/path', 'ftp://host/', 'http://', 'javascript:s3cret', 'https://user:s3cret@host/'])(
    'refuses %s without printing it',
    (address) => {
      expect(() => serviceAt().target(address)).toThrow(
        /^the HTTP pool 'http': option 'path' must be .*, got a hidden value/,
      );
    },
  );

  it('never leads a path to another origin, nor above its base', () => {
    const service = serviceAt('https://host/v1');
    const piece = fc.constantFrom(
      '/',
      '\\',
      '..',
      '.',
      '%2e',
      '%2f',
      '@',
      ':',
      '?',
      '#',
      'a',
      '\t',
      ' ',
      '//',
      'evil.example',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const path = pieces.join('');
        if (/^[a-z][a-z\d+.-]*:/i.test(path)) return;
        try {
          const target = service.target(path);
          expect(target.origin).toBe('https://host');
          expect(`${new URL(`https://host${target.path}`).pathname}/`).toMatch(/^\/v1\//);
        } catch (error) {
          expect(error).toMatchObject({ code: 'WP_BAD_OPTION' });
        }
      }),
    );
  });
});
