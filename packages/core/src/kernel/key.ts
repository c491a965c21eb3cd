import { hash } from 'node:crypto';
import { WarmpathError } from './errors.js';

/** Deeper than any request; reached only by a value that contains itself. */
const deepest = 256;

/**
 * One string for each value, and one value for each string: equal data gives equal keys whatever the order of properties,
 * and no two different values share a key. Map, Set, Date, RegExp, URL, bigint, -0, NaN, undefined, holes and each kind
 * of typed array are kept apart (a Buffer is its Uint8Array). Text is written with its length before it, never escaped.
 * Cost: linear in the data, plus the sorting of property names.
 * @throws WarmpathError `WP_BAD_KEY` for functions, symbols, instances of classes and cycles, naming the place
 */
export function canonicalKey(value: unknown): string {
  return encode(value, new Path());
}

/** The SHA-256 of a value's canonical key: 43 characters of base64url, for stores and logs that should not see the data. */
export function digestKey(value: unknown): string {
  return hash('sha256', canonicalKey(value), 'base64url');
}

/** Where in the value the encoder stands; written out only when something is refused. */
class Path {
  readonly #steps: (string | number)[] = [];

  enter(step: string | number): void {
    this.#steps.push(step);
    if (this.#steps.length > deepest) {
      this.#steps.length = 8;
      throw refused(
        this,
        `nests deeper than ${deepest} levels or contains itself`,
        'Pass the data that tells calls apart',
      );
    }
  }

  leave(): void {
    this.#steps.pop();
  }

  toString(): string {
    return `key${this.#steps.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')}`;
  }
}

function encode(value: unknown, path: Path): string {
  switch (typeof value) {
    case 'string':
      return encodeText(value);
    case 'number':
      return Object.is(value, -0) ? 'n-0;' : `n${value};`;
    case 'boolean':
      return value ? 't' : 'f';
    case 'undefined':
      return 'u';
    case 'bigint':
      return `i${value};`;
    case 'object':
      return value === null ? 'z' : encodeObject(value, path);
    case 'function':
      throw refused(path, `is the function '${value.name || 'anonymous'}'`, 'Pass a name instead');
    default:
      throw refused(path, `is the symbol '${String(value)}'`, 'Pass a string instead');
  }
}

function encodeText(text: string): string {
  // Lone surrogates all become U+FFFD in UTF-8, so that two such texts would share a digest: spell them out.
  return text.isWellFormed()
    ? `s${text.length}:${text}`
    : `w${text.length}:${Buffer.from(text, 'utf16le').toString('hex')}`;
}

function encodeObject(value: object, path: Path): string {
  if (Array.isArray(value)) return encodeArray(value, path);
  const prototype = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return encodeRecord(value, path);
  if (value instanceof Date) return `d${value.getTime()};`;
  if (value instanceof Map) return encodeMap(value, path);
  if (value instanceof Set) return encodeSet(value, path);
  if (ArrayBuffer.isView(value)) return encodeBytes(viewName(value), value.buffer, value.byteOffset, value.byteLength);
  if (value instanceof ArrayBuffer) return encodeBytes('ArrayBuffer', value, 0, value.byteLength);
  if (value instanceof RegExp) return `r${encodeText(value.source)}${encodeText(value.flags)}`;
  if (value instanceof URL) return `l${encodeText(value.href)}`;
  const name = value.constructor?.name || 'an unnamed class';
  throw refused(path, `is an instance of ${name}`, 'Pass its data as a plain object');
}

function encodeArray(values: readonly unknown[], path: Path): string {
  let text = `a${values.length}[`;
  for (let index = 0; index < values.length; index++) {
    path.enter(index);
    text += index in values ? encode(values[index], path) : 'h';
    path.leave();
  }
  return `${text}]`;
}

function encodeRecord(record: object, path: Path): string {
  if (Object.getOwnPropertySymbols(record).length > 0)
    throw refused(path, 'has a symbol as a property', 'Use a string');
  const names = Object.keys(record).sort();
  let text = `o${names.length}{`;
  for (const name of names) {
    path.enter(name);
    text += encodeText(name) + encode((record as Record<string, unknown>)[name], path);
    path.leave();
  }
  return `${text}}`;
}

function encodeMap(map: ReadonlyMap<unknown, unknown>, path: Path): string {
  path.enter('(Map)');
  const entries = Array.from(map, ([key, value]) => encode(key, path) + encode(value, path)).sort();
  path.leave();
  return `m${map.size}{${entries.join('')}}`;
}

function encodeSet(set: ReadonlySet<unknown>, path: Path): string {
  path.enter('(Set)');
  const members = Array.from(set, (member) => encode(member, path)).sort();
  path.leave();
  return `e${set.size}{${members.join('')}}`;
}

function encodeBytes(name: string, buffer: ArrayBufferLike, offset: number, length: number): string {
  return `b${name}:${length}:${Buffer.from(buffer as ArrayBuffer, offset, length).toString('base64')};`;
}

function viewName(view: ArrayBufferView): string {
  return Buffer.isBuffer(view) ? 'Uint8Array' : view.constructor.name;
}

function refused(path: Path, why: string, mend: string): WarmpathError {
  return new WarmpathError('WP_BAD_KEY', `${path} ${why} and has no canonical form. ${mend}.`, {
    details: { path: String(path) },
  });
}
