import { describe, expect, it } from 'vitest';
import { createCodec } from './codec.js';
import type { EncryptionOptions } from './encryption.js';

const key = (fill: number) => Buffer.alloc(32, fill);
const codecWith = (current: string, keys: EncryptionOptions['keys']) => createCodec({ encryption: { current, keys } });
const codec = codecWith('a', { a: key(1) });
const value = { secret: 'the launch code', list: [1, 2, 3] };

function sealed(entryKey = 'key', by = codec): Buffer {
  return Buffer.from(by.encode(value, entryKey) ?? []);
}

describe('an encrypted entry', () => {
  it('shows nothing of the value, and never looks the same twice', () => {
    expect(sealed().includes('launch')).toBe(false);
    expect(sealed().includes('secret')).toBe(false);
    expect(sealed().equals(sealed())).toBe(false);
  });

  it('is rejected when any byte of it is altered, or the last is missing', () => {
    const bytes = sealed();
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [1, 0x80]) {
        const altered = Buffer.from(bytes);
        altered[at] = (altered[at] ?? 0) ^ flip;
        expect(codec.decode(altered, 'key')).toHaveProperty('rejected');
      }
      expect(codec.decode(bytes.subarray(0, at), 'key')).toHaveProperty('rejected');
    }
    expect(codec.decode(bytes, 'key')).toEqual({ value });
  });

  it('is rejected under another key than it was written for', () => {
    expect(codec.decode(sealed('one'), 'other')).toEqual({ rejected: 'corrupt' });
    expect(codec.decode(sealed('\ud800'), '\ud801')).toEqual({ rejected: 'corrupt' });
    expect(codec.decode(sealed('one'), 'one')).toEqual({ value });
  });

  it('is read with every key that is known, and written with the current one', () => {
    const rotated = codecWith('b', { a: key(1), b: key(2) });
    const retired = codecWith('b', { b: key(2) });
    expect(rotated.decode(sealed(), 'key')).toEqual({ value });
    expect(retired.decode(sealed('key', rotated), 'key')).toEqual({ value });
    expect(retired.decode(sealed(), 'key')).toEqual({ rejected: 'key' });
    expect(codec.decode(sealed('key', rotated), 'key')).toEqual({ rejected: 'key' });
  });

  it('is rejected by another key of the same name', () => {
    expect(codecWith('a', { a: key(9) }).decode(sealed(), 'key')).toEqual({ rejected: 'corrupt' });
  });

  it('is rejected without encryption, and an entry without encryption is rejected with it', () => {
    const plain = createCodec({ compression: 1 });
    expect(plain.decode(sealed(), 'key')).toEqual({ rejected: 'key' });
    for (const planted of [plain.encode(value, 'key'), createCodec({}).encode(value, 'key')]) {
      expect(codec.decode(planted ?? Buffer.of(), 'key')).toEqual({ rejected: 'key' });
    }
  });

  it('is compressed before', () => {
    const text = 'word '.repeat(1_000);
    const both = createCodec({ compression: true, encryption: { current: 'a', keys: { a: key(1) } } });
    const bytes = both.encode(text, 'key') ?? Buffer.of();
    expect(bytes.length).toBeLessThan(200);
    expect(codec.decode(bytes, 'key')).toEqual({ value: text });
  });
});

describe('the keys', () => {
  it('may be 32 bytes, or their hex, base64 or base64url text, under any name', () => {
    const bytes = Buffer.from('fb'.repeat(32), 'hex');
    const texts = ['hex', 'base64', 'base64url'] as const;
    for (const same of [Uint8Array.from(bytes), ...texts.map((form) => bytes.toString(form))]) {
      expect(codecWith('k', { k: same }).decode(sealed('key', codecWith('k', { k: bytes })), 'key')).toEqual({ value });
    }
    for (const id of ['__proto__', 'constructor', 'ключ', 'x'.repeat(255)]) {
      const named = codecWith(id, Object.fromEntries([[id, bytes]]));
      expect(named.decode(sealed('key', named), 'key')).toEqual({ value });
    }
  });

  it('are copied: wiping the bytes that were given changes nothing', () => {
    const given = key(1);
    const own = codecWith('a', { a: given });
    given.fill(0);
    expect(codec.decode(sealed('key', own), 'key')).toEqual({ value });
  });

  const hidden = 'hunter2-hunter2-hunter2-hunter2-hunter2';
  it.each<[string, unknown, string]>([
    ['no object', hidden, "'encryption'"],
    ['nothing at all', null, "'encryption'"],
    ['no keys', { current: 'a' }, "'keys'"],
    ['no current', { keys: { a: key(1) } }, "'current'"],
    ['an unknown name', { current: 'a', key: hidden, keys: { a: key(1) } }, "'key'"],
    ['a list of keys', { current: 'a', keys: [hidden] }, "'keys'"],
    ['a current that is not among them', { current: hidden, keys: { a: key(1) } }, "'encryption.current'"],
    ['a current that every object has', { current: 'toString', keys: { a: key(1) } }, "'encryption.current'"],
    ['too few bytes', { current: 'a', keys: { a: key(1).subarray(1) } }, "'encryption.keys['a']'"],
    ['a passphrase', { current: 'a', keys: { a: hidden } }, "'encryption.keys['a']'"],
    ['32 characters', { current: 'a', keys: { a: hidden.slice(0, 32) } }, "'encryption.keys['a']'"],
    ['a key that is not set', { current: 'a', keys: { a: undefined } }, "'encryption.keys['a']'"],
    ['mixed alphabets', { current: 'a', keys: { a: `${'a'.repeat(41)}+_` } }, "'encryption.keys['a']'"],
    ['an empty name', { current: 'a', keys: { '': key(1) } }, "'encryption.keys'"],
    ['a name too long', { current: 'a', keys: { [hidden.repeat(9)]: key(1) } }, "'encryption.keys'"],
  ])('are refused by name and never shown: %s', (_what, encryption, named) => {
    const create = () => createCodec({ encryption: encryption as EncryptionOptions });
    expect(create).toThrow(expect.objectContaining({ code: 'WP_BAD_OPTION' }));
    expect(create).toThrow(named);
    expect(create).not.toThrow('hunter2');
  });
});
