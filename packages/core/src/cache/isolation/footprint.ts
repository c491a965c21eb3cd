import { types } from 'node:util';
import { isAllNumbers, isPlainList, isSmallInteger } from './lists.js';

/** A word of V8's heap in a build of Node.js, which does not compress pointers. */
const word = 8;

/** V8 spends one byte on a character unless some character of the text needs two; a one-byte text is not even searched. */
const wideCharacter = /[\u0100-\uffff]/;

/** Past so many properties a record is one of its kind. */
const mostShared = 64;

/** Past so many properties V8 keeps them in a hash table. */
const mostSlots = 1_020;

/** How many objects of a value that is kept as it is are looked at: it may reach the whole application. */
const mostMeasured = 100_000;

/** A number that has an object of its own on the heap, as in properties and in lists that hold other things too. */
export const boxedNumberBytes: number = 2 * word;

export const dateBytes: number = 12 * word;

/** What a primitive takes beside the slot that holds it. */
export function primitiveBytes(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return stringBytes(value);
    case 'number':
      return isSmallInteger(value) ? 0 : boxedNumberBytes;
    case 'bigint':
      return bigintBytes(value);
    default:
      return 0;
  }
}

export function stringBytes(text: string): number {
  const { length } = text;
  if (length < 2) return 0; // these exist once in the whole process
  return 2 * word + wholeWords(wideCharacter.test(text) ? 2 * length : length);
}

/**
 * A record with these properties. Their names are not counted where objects of one shape share them; so many that they must
 * be data, such as a count for each word, are counted, with the 120 bytes a name that V8 spends on the shape.
 */
export function recordBytes(record: object, properties: number): number {
  if (properties <= mostShared) return (3 + properties) * word;
  let bytes = properties <= mostSlots ? (6 + 16 * properties) * word : (8 + 3 * powerOfTwo(1.5 * properties)) * word;
  for (const name in record) bytes += stringBytes(name);
  return bytes;
}

export function arrayBytes(slots: number): number {
  return (6 + slots) * word;
}

export function mapBytes(size: number): number {
  return (9 + 3.5 * powerOfTwo(size)) * word;
}

export function setBytes(size: number): number {
  return (9 + 2.5 * powerOfTwo(size)) * word;
}

/** A typed array, Buffer or DataView together with its ArrayBuffer. */
export function viewBytes(byteLength: number): number {
  return 25 * word + wholeWords(byteLength);
}

export function bufferBytes(byteLength: number): number {
  return 12 * word + wholeWords(byteLength);
}

/**
 * What a value and all that it reaches take on the heap, found without running anything: no getter, no trap of a proxy.
 * An object that occurs twice counts once. Private fields, what functions close over and everything past the first
 * 100,000 objects do not count. Cost: about 0.1 µs a property.
 */
export function footprint(value: unknown): number {
  const seen = new Set<object>();
  const waiting: object[] = [];
  const count = (part: unknown): number => {
    if (typeof part === 'function') return 8 * word;
    if (typeof part !== 'object' || part === null) return primitiveBytes(part);
    if (seen.size < mostMeasured && !seen.has(part)) {
      seen.add(part);
      waiting.push(part);
    }
    return 0;
  };
  let bytes = count(value);
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) bytes += objectFootprint(next, count);
  return bytes;
}

type Count = (part: unknown) => number;

function objectFootprint(object: object, count: Count): number {
  if (types.isProxy(object)) return 4 * word;
  if (ArrayBuffer.isView(object)) return viewFootprint(object);
  if (types.isAnyArrayBuffer(object)) return bufferBytes(object.byteLength);
  if (Array.isArray(object) && isPlainList(object)) return listFootprint(object, count);
  return contentFootprint(object, count) + propertiesFootprint(object, count);
}

function listFootprint(list: readonly unknown[], count: Count): number {
  let bytes = arrayBytes(list.length);
  if (isAllNumbers(list)) return bytes;
  for (let at = 0; at < list.length; at++) bytes += count(list.at(at));
  return bytes;
}

/** A view holds the whole of its buffer, but the pool that small Buffers are cut from is nobody's own. */
function viewFootprint(view: ArrayBufferView): number {
  const held = view.buffer.byteLength;
  return viewBytes(Buffer.isBuffer(view) && held === Buffer.poolSize ? view.byteLength : held);
}

function contentFootprint(object: object, count: Count): number {
  let bytes = 0;
  if (types.isMap(object)) {
    bytes += mapBytes(object.size);
    for (const [key, value] of Map.prototype.entries.call(object)) bytes += count(key) + count(value);
  } else if (types.isSet(object)) {
    bytes += setBytes(object.size);
    for (const member of Set.prototype.values.call(object)) bytes += count(member);
  } else if (types.isDate(object)) {
    bytes += dateBytes;
  }
  return bytes;
}

/** Errors have a text in each of `message` and `stack`, which are not enumerable. */
function propertiesFootprint(object: object, count: Count): number {
  const names = types.isNativeError(object) ? Object.getOwnPropertyNames(object) : Object.keys(object);
  let bytes = Array.isArray(object) ? arrayBytes(names.length) : recordBytes(object, names.length);
  for (const name of names) {
    const property = Object.getOwnPropertyDescriptor(object, name);
    if (property && 'value' in property) bytes += count(property.value);
  }
  return bytes;
}

function bigintBytes(value: bigint): number {
  return BigInt.asIntN(64, value) === value ? 3 * word : 2 * word + wholeWords(value.toString(16).length / 2);
}

function wholeWords(bytes: number): number {
  return Math.ceil(bytes / word) * word;
}

function powerOfTwo(least: number): number {
  return 2 ** Math.max(2, Math.ceil(Math.log2(least)));
}
