import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ambientRules,
  badOption,
  checkOptions,
  isWarmpathError,
  type Rule,
  rule,
  systemClock,
  systemRandom,
  type WarmpathError,
} from './index.js';

interface SampleOptions {
  limit?: number;
  window?: string;
  apiKey?: string;
}

const rules = { limit: rule.integer(1), window: rule.positiveDuration, apiKey: rule.secret };

const refusal = (act: () => void): WarmpathError => {
  try {
    act();
  } catch (error) {
    if (isWarmpathError(error, 'WP_BAD_OPTION')) return error;
    throw error;
  }
  throw new Error('It was let through.');
};

/** What `checkOptions` says of one value under one rule. */
const said = (value: unknown, under: Rule): string =>
  refusal(() => checkOptions<{ it: unknown }>('make()', { it: value }, { it: under })).message;

describe('checkOptions', () => {
  it('lets good options, missing options and undefined through', () => {
    for (const options of [undefined, {}, { limit: undefined }, { limit: 5, window: '5s', apiKey: 'k' }]) {
      expect(() => checkOptions<SampleOptions>('make()', options, rules)).not.toThrow();
    }
  });

  it('says name, rule, value and type, for people and for programs', () => {
    const error = refusal(() => checkOptions<SampleOptions>('createLimiter()', { limit: 0 }, rules));
    expect(error.message).toBe("createLimiter(): option 'limit' must be a whole number from 1 up, got 0 (number).");
    expect(error.details).toEqual({
      where: 'createLimiter()',
      option: 'limit',
      rule: 'a whole number from 1 up',
      type: 'number',
    });
  });

  it('wants what is required', () => {
    expect(said(undefined, rule.required(rule.text))).toBe(
      "make(): option 'it' must be a string that is not empty, got undefined (undefined).",
    );
  });

  it.each([[null], [5], ['text'], [() => {}], [[]], [[5]]])('refuses %o in the place of the options', (options) => {
    const error = refusal(() => checkOptions<SampleOptions>('make()', options as SampleOptions, rules));
    expect(error.message).toMatch(/^make\(\): option 'options' must be an object, got /);
  });

  it.each([
    ['limits', "did you mean 'limit'?"],
    ['Limit', "did you mean 'limit'?"],
    ['widnow', "did you mean 'window'?"],
    ['apikey', "did you mean 'apiKey'?"],
    ['burst', "it takes 'limit', 'window', 'apiKey'."],
    ['a', "it takes 'limit', 'window', 'apiKey'."],
    ['__proto', "it takes 'limit', 'window', 'apiKey'."],
    ['toString', "it takes 'limit', 'window', 'apiKey'."],
  ])('refuses the unknown option %s with a hint', (name, hint) => {
    const error = refusal(() => checkOptions<SampleOptions>('make()', { [name]: 1 } as SampleOptions, rules));
    expect(error.message).toBe(`make(): there is no option '${name}'; ${hint}`);
    expect(error.details).toEqual({ where: 'make()', option: name, known: ['limit', 'window', 'apiKey'] });
  });

  it('hints at the nearest of several options', () => {
    const all = { min: rule.boolean, max: rule.boolean, mixx: rule.boolean };
    const wrong = (name: string) => () => checkOptions('make()', { [name]: 1 } as object, all as object);
    expect(refusal(wrong('maxx')).message).toContain("did you mean 'max'?");
    expect(refusal(wrong('mixxx')).message).toContain("did you mean 'mixx'?");
    expect(refusal(() => checkOptions<object>('make()', { any: 1 }, {})).message).toContain('it takes none.');
  });

  it('refuses a very long name quickly and in a short message', () => {
    const name = 'x'.repeat(1_000_000);
    const error = refusal(() => checkOptions<SampleOptions>('make()', { [name]: 1 } as SampleOptions, rules));
    expect(error.message.length).toBeLessThan(200);
    expect(JSON.stringify(error.details).length).toBeLessThan(400);
  });

  it('touches nothing that it is given', () => {
    const options = Object.freeze({ limit: 5, window: '5s' });
    checkOptions<SampleOptions>('make()', options, Object.freeze(rules));
    expect(options).toEqual({ limit: 5, window: '5s' });
  });

  it('lets through or refuses in its one form, whatever the options are', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withMap: true, withDate: true, withNullPrototype: true }),
        (options) => {
          try {
            checkOptions<SampleOptions>('make()', options as SampleOptions, rules);
          } catch (error) {
            expect(isWarmpathError(error, 'WP_BAD_OPTION')).toBe(true);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });
});

describe('each rule says what it wants and what came', () => {
  class Bucket {
    level = 1;
  }
  const cyclic: Record<string, unknown> = {};
  cyclic.self = cyclic;

  it.each<[string, Rule, unknown, string]>([
    ['anything', rule.anything, null, 'set, got null (null)'],
    ['boolean', rule.boolean, 'yes', "true or false, got 'yes' (string)"],
    ['text', rule.text, ' ', "a string that is not empty, got ' ' (string)"],
    ['function', rule.function, {}, 'a function, got {} (object)'],
    ['object', rule.object, [1], 'an object, got [1] (array)'],
    ['url', rule.url, 'ftp://x', "an http:// or https:// address, got 'ftp://x' (string)"],
    ['url', rule.url, new URL('file:///etc'), 'an http:// or https:// address, got "file:///etc" (URL)'],
    [
      'duration',
      rule.duration,
      '5 minutes',
      "a duration such as '250ms', '30s', '5m', '1h' or '7d', or a number of milliseconds from 0 up, got '5 minutes' (string)",
    ],
    [
      'positiveDuration',
      rule.positiveDuration,
      0,
      "a duration above 0 such as '250ms', '30s', '5m', '1h' or '7d', or a number of milliseconds, got 0 (number)",
    ],
    [
      'byteSize',
      rule.byteSize,
      '64KB',
      "a size above 0 such as '64kB', '100MB', '2GB', or a number of bytes, got '64KB' (string)",
    ],
    [
      'byteSize',
      rule.byteSize,
      '0MB',
      "a size above 0 such as '64kB', '100MB', '2GB', or a number of bytes, got '0MB' (string)",
    ],
    [
      'byteSize',
      rule.byteSize,
      0.5,
      "a size above 0 such as '64kB', '100MB', '2GB', or a number of bytes, got 0.5 (number)",
    ],
    ['integer', rule.integer(1, 9), 1.5, 'a whole number from 1 to 9, got 1.5 (number)'],
    ['integer', rule.integer(0), -0.5, 'a whole number from 0 up, got -0.5 (number)'],
    ['integer', rule.integer(0), 2 ** 53, 'a whole number from 0 up, got 9007199254740992 (number)'],
    ['integer', rule.integer(0), 5n, 'a whole number from 0 up, got 5n (bigint)'],
    ['number', rule.number(0, 1), Number.NaN, 'a number from 0 to 1, got NaN (number)'],
    ['number', rule.number(0), '1', "a number from 0 up, got '1' (string)"],
    ['positive', rule.positive, -0, 'a number above 0, got -0 (number)'],
    ['positive', rule.positive, Number.POSITIVE_INFINITY, 'a number above 0, got Infinity (number)'],
    ['oneOf', rule.oneOf('shared', 'tenant', 0), 'x', "one of 'shared', 'tenant', 0, got 'x' (string)"],
    [
      'withMethods',
      rule.withMethods('a store', 'get', 'set'),
      { get: () => {} },
      'a store (an object with get(), set()), got {} (object)',
    ],
    [
      'withMethods',
      rule.withMethods('a store', 'get'),
      new Bucket(),
      'a store (an object with get()), got {"level":1} (Bucket)',
    ],
    ['arrayOf', rule.arrayOf(rule.text), ['a', 5], 'a list, each a string that is not empty, got ["a",5] (array)'],
    ['arrayOf', rule.arrayOf(rule.text, 1), [], 'a list of 1 or more, each a string that is not empty, got [] (array)'],
    ['either', rule.either(rule.boolean, rule.function), 5, 'true or false, or a function, got 5 (number)'],
    ['a symbol', rule.boolean, Symbol('s'), 'true or false, got Symbol(s) (symbol)'],
    ['a function', rule.boolean, function limit() {}, 'true or false, got limit (function)'],
    ['a nameless function', rule.boolean, () => {}, 'true or false, got anonymous (function)'],
    [
      'a function with an odd name',
      rule.boolean,
      Object.defineProperty(() => {}, 'name', { value: Symbol('x') }),
      'true or false, got anonymous (function)',
    ],
    ['an object of no class', rule.boolean, Object.create(null), 'true or false, got {} (object)'],
    [
      'an object with an odd constructor',
      rule.boolean,
      { constructor: { name: Symbol('x') } },
      'true or false, got {"constructor":{}} (object)',
    ],
    ['a cyclic object', rule.boolean, cyclic, 'true or false, got [object Object] (object)'],
    ['an object with a bigint', rule.boolean, { n: 5n }, 'true or false, got [object Object] (object)'],
    ['a Map', rule.boolean, new Map(), 'true or false, got {} (Map)'],
  ])('%s', (_, under, value, text) => {
    expect(said(value, under)).toBe(`make(): option 'it' must be ${text}.`);
  });

  it('prints no more than 60 characters of a value', () => {
    const printed = /got (.*) \(/s.exec(said('x'.repeat(10_000), rule.boolean))?.[1] ?? '';
    expect(printed).toBe(`'${'x'.repeat(57)}...'`);
    expect(said({ list: new Array(10_000).fill(1) }, rule.boolean).length).toBeLessThan(150);
  });

  it('keeps the bounds of numbers, both ends included', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: -50, max: 50 }),
        fc.nat(50),
        fc.double(),
        fc.integer({ min: -120, max: 120 }),
        (min, span, double, whole) => {
          const inRange = (value: number): boolean => value >= min && value <= min + span;
          expect(rule.integer(min, min + span).allows(whole)).toBe(inRange(whole));
          expect(rule.number(min, min + span).allows(double)).toBe(inRange(double));
          expect(rule.integer(min, min + span).allows(whole + 0.5)).toBe(false);
        },
      ),
    );
  });

  it('lets sizes through as text and as bytes', () => {
    for (const size of ['64kB', '1.5MB', '2GB', 1, 4_096]) expect(rule.byteSize.allows(size)).toBe(true);
  });

  it('knows a clock, a random source and a listener', () => {
    expect(ambientRules.clock.allows(systemClock)).toBe(true);
    expect(ambientRules.clock.allows({ now: () => 1 })).toBe(false);
    expect(ambientRules.random.allows(systemRandom)).toBe(true);
    expect(ambientRules.onEvent.allows('event')).toBe(false);
  });
});

describe('secrets', () => {
  const secret = 'sk-live-1234';

  it.each<[string, Rule, unknown]>([
    ['a secret option of the wrong kind', rule.secret, { raw: secret }],
    ['a required secret', rule.required(rule.secret), [secret]],
    ['one of two rules that is a secret', rule.either(rule.boolean, rule.secret), [secret]],
    ['a list of secrets with a bad one', rule.arrayOf(rule.secret), [secret, 5]],
    ['an object that holds a credential', rule.function, { model: 'x', apiKey: secret }],
    ['a credential deep inside', rule.function, { a: [{ headers: { authorization: `Bearer ${secret}` } }] }],
    ['an address with a password', rule.url, `redis://default:${secret}@db.example:6379`],
    ['an object with such an address', rule.function, { url: `redis://${secret}@db.example` }],
  ])('stay out of the message of %s', (_, under, value) => {
    const error = refusal(() => checkOptions<{ it: unknown }>('make()', { it: value }, { it: under }));
    expect(error.message).not.toContain(secret);
    expect(error.stack).not.toContain(secret);
    expect(JSON.stringify(error.details)).not.toContain(secret);
  });

  it('show their type, or that they are missing', () => {
    expect(said(5, rule.secret)).toBe(
      "make(): option 'it' must be a string that is not empty, got a hidden value (number).",
    );
    expect(said(undefined, rule.required(rule.secret))).toContain('got undefined (undefined).');
    const { details } = refusal(() => checkOptions<SampleOptions>('make()', { apiKey: '' }, rules));
    expect(details.type).toBe('string');
  });

  it('leave the rest of the object readable', () => {
    expect(said({ model: 'x', apiKey: secret, maxTokens: 5 }, rule.function)).toContain(
      'got {"model":"x","apiKey":"(hidden)","maxTokens":5} (object)',
    );
  });
});

describe('badOption', () => {
  it('has the same form for rules that span several options', () => {
    const error = badOption('createLimiter()', 'burst', "at least 'limit' (10)", 5);
    expect(error.message).toBe("createLimiter(): option 'burst' must be at least 'limit' (10), got 5 (number).");
    expect(error.code).toBe('WP_BAD_OPTION');
  });
});
