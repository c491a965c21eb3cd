import { hash } from 'node:crypto';
import { type KeyBytes, tag } from './key-bytes.js';
import { KeyEncoder } from './key-encoder.js';

/**
 * One string for each value, and one value for each string: equal data gives equal keys whatever the order of properties,
 * and no two different values share a key. Map, Set, Date, RegExp, URL, bigint, -0, NaN, undefined, holes and each kind
 * of typed array are kept apart (a Buffer is its Uint8Array). Text is written with its length before it, never escaped.
 * Data is what is enumerable: of a typed array its bytes, of a RegExp its source and flags, of an object its own
 * properties, whether its prototype is Object's or null. It is made for maps, not for people: bytes of one character
 * each, except that a text or a number by itself follows its mark as it is. Cost: linear in the data, plus the sorting of
 * property names; tens of nanoseconds for a text or a number.
 * @throws WarmpathError `WP_BAD_KEY` naming the place, for what has no such form: functions, symbols, instances of
 *   classes (also of those that extend Array, Map and the like), lists or Maps with properties of their own, cycles
 */
export function canonicalKey(value: unknown): string {
  if (typeof value === 'string') return `s${value}`;
  if (typeof value === 'number') return Object.is(value, -0) ? 'n-0' : `n${value}`;
  return written((encoder) => {
    encoder.encode(value);
    return encoder.bytes.toString();
  });
}

/**
 * The SHA-256 of a value's canonical bytes: 43 characters of base64url, for stores and logs that should not see the data.
 * Costs less than the digest of its canonical key, which would have to be made first.
 * @throws WarmpathError `WP_BAD_KEY`, as `canonicalKey` does
 */
export function digestKey(value: unknown): string {
  return written((encoder) => {
    encoder.encode(value);
    return digestOf(encoder.bytes);
  });
}

/** The SHA-256 of several texts, such as a scope and a canonical key in it, apart from any others; as cheap as the hash. */
export function digestText(...parts: readonly (string | undefined)[]): string {
  return written(({ bytes }) => {
    for (const part of parts) {
      if (part === undefined) bytes.tag(tag.undefined);
      else bytes.text(part);
    }
    return digestOf(bytes);
  });
}

/**
 * For maps that keep many keys: the canonical key if it has at most `longest` characters, else `#` and the digest, which
 * nothing else begins with.
 * @throws WarmpathError `WP_BAD_KEY`, as `canonicalKey` does
 */
export function compactKey(value: unknown, longest: number): string {
  const plain = typeof value === 'string' ? value.length < longest : typeof value === 'number';
  if (plain) return canonicalKey(value);
  return written((encoder) => {
    encoder.encode(value);
    const { bytes } = encoder;
    return bytes.length > longest ? `#${digestOf(bytes)}` : bytes.toString();
  });
}

function digestOf(bytes: KeyBytes): string {
  return hash('sha256', bytes.view(), 'base64url');
}

/** Out of its place while it is in use: a getter within a key may make a key itself. */
let idle: KeyEncoder | undefined;

function written(write: (encoder: KeyEncoder) => string): string {
  const encoder = idle ?? new KeyEncoder();
  idle = undefined;
  const text = write(encoder);
  // After a refusal it stays away, wherever it stood.
  encoder.bytes.clear();
  idle = encoder;
  return text;
}
