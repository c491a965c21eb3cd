import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BareItem, parseDictionary, parseList } from './structured-field.js';

function plain(item: BareItem): string | number | boolean {
  return item.value;
}

function listed(text: string): unknown {
  return parseList(text)?.map(({ item, parameters }) => [
    plain(item),
    ...[...parameters].map(([name, value]) => `${name}=${plain(value)}`),
  ]);
}

describe('Structured Fields (RFC 9651)', () => {
  it.each([
    ['', []],
    [
      '"burst";q=100;w=60,"daily";q=1000;w=86400',
      [
        ['burst', 'q=100', 'w=60'],
        ['daily', 'q=1000', 'w=86400'],
      ],
    ],
    ['  "a" ; b="c\\"\\\\,;" ,\t1.5;d', undefined],
    [
      '  "a";  b="c\\"\\\\,;" ,\t1.5;d  ',
      [
        ['a', 'b=c"\\,;'],
        [1.5, 'd=true'],
      ],
    ],
    [
      '"p";r=1;pk=:aGk=:;x=?0;y=*t/o:k;z=@1659578233;u=%"f%c3%bc"',
      [['p', 'r=1', 'pk=aGk=', 'x=false', 'y=*t/o:k', 'z=1659578233', 'u=f%c3%bc']],
    ],
    ['-5, 100;w=60', [[-5], [100, 'w=60']]],
    ['"a";q=1;q=2', [['a', 'q=2']]],
  ])('reads %j as a list', (text, expected) => {
    expect(listed(text)).toEqual(expected);
  });

  it.each([
    '"open',
    '"a",',
    '"a" "b"',
    '("a" "b")',
    '"ü"',
    '"a";Q=1',
    '"a";q=',
    '1234567890123456',
    '1.2345',
    '?2',
    ',',
  ])('takes %j for absent', (text) => {
    expect(parseList(text)).toBeUndefined();
  });

  it('reads dictionaries, the last of two members of one name', () => {
    const members = parseDictionary('limit=100, remaining=50;x, flag, remaining=49');
    expect([...(members ?? [])].map(([name, { item }]) => [name, plain(item)])).toEqual([
      ['limit', 100],
      ['remaining', 49],
      ['flag', true],
    ]);
    expect(parseDictionary('limit=100 remaining=50')).toBeUndefined();
  });

  it('reads back what it is given', () => {
    const text = fc.string({ unit: fc.constantFrom(...'ab "\\,;=~') });
    const parameter = fc.tuple(fc.stringMatching(/^[a-z*][a-z0-9_.*-]{0,8}$/), fc.integer());
    const item = fc.record({
      text,
      parameters: fc.uniqueArray(parameter, { selector: ([name]) => name, maxLength: 4 }),
    });
    fc.assert(
      fc.property(fc.array(item), (items) => {
        const field = items.map(
          ({ text, parameters }) =>
            `"${text.replace(/["\\]/g, '\\$&')}"${parameters.map(([name, value]) => `;${name}=${value}`).join('')}`,
        );
        expect(listed(field.join(', '))).toEqual(
          items.map(({ text, parameters }) => [text, ...parameters.map(([name, value]) => `${name}=${value}`)]),
        );
      }),
    );
  });
});
