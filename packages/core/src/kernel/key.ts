import { hash } from 'node:crypto';
import { types } from 'node:util';
import { WarmpathError } from './errors.js';

/** Deeper than any request; reached only by a value that contains itself. */
const deepest = 256;

/** How much of a property's name a refusal prints. */
const longestName = 40;

/**
 * One string for each value, and one value for each string: equal data gives equal keys whatever the order of properties,
 * and no two different values share a key. Map, Set, Date, RegExp, URL, bigint, -0, NaN, undefined, holes and each kind
 * of typed array are kept apart (a Buffer is its Uint8Array). Text is written with its length before it, never escaped.
 * Data is what is enumerable: of a typed array its bytes, of a RegExp its source and flags, of an object its own
 * properties, whether its prototype is Object's or null. Cost: linear in the data, plus the sorting of property names.
 * @throws WarmpathError `WP_BAD_KEY` naming the place, for what has no such form: functions, symbols, instances of
 *   classes (also of those that extend Array, Map and the like), lists or Maps with properties of their own, cycles
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
    return `key${this.#steps.map((step) => (typeof step === 'number' ? `[${step}]` : `.${shortened(step)}`)).join('')}`;
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
      throw refused(path, `is the function '${nameOf(value) || 'anonymous'}'`, 'Pass a name instead');
    default:
      throw refused(path, `is the symbol '${shortened(String(value))}'`, 'Pass a string instead');
  }
}

function encodeText(text: string): string {
  // Lone surrogates all become U+FFFD in UTF-8, so that two such texts would share a digest: spell them out.
  return text.isWellFormed()
    ? `s${text.length}:${text}`
    : `w${text.length}:${Buffer.from(text, 'utf16le').toString('hex')}`;
}

function encodeObject(value: object, path: Path): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === Object.prototype || prototype === null) return encodeRecord(value, path);
  // The kind is asked of the value itself and of its prototype: a class that extends Map has data that a Map has not.
  if (Array.isArray(value) && prototype === Array.prototype) return encodeArray(value, path);
  if (ArrayBuffer.isView(value)) {
    const name = viewName(value, prototype);
    if (name) return encodeBytes(name, value.buffer, value.byteOffset, value.byteLength, path);
  } else {
    if (types.isArrayBuffer(value) && prototype === ArrayBuffer.prototype)
      return encodeBytes('ArrayBuffer', value, 0, value.byteLength, path);
    const text = encodeBuiltin(value, prototype, path);
    if (text !== undefined) {
      refuseExtras(value, 0, path);
      return text;
    }
  }
  const name = nameOf(value.constructor) || 'an unnamed class';
  throw refused(path, `is an instance of ${name}`, 'Pass its data as a plain object');
}

function encodeBuiltin(value: object, prototype: unknown, path: Path): string | undefined {
  if (types.isDate(value) && prototype === Date.prototype) return `d${value.getTime()};`;
  if (types.isMap(value) && prototype === Map.prototype) return encodeMap(value, path);
  if (types.isSet(value) && prototype === Set.prototype) return encodeSet(value, path);
  if (types.isRegExp(value) && prototype === RegExp.prototype)
    return `r${encodeText(value.source)}${encodeText(value.flags)}`;
  if (value instanceof URL && prototype === URL.prototype) return `l${encodeText(value.href)}`;
  return undefined;
}

/** What somebody has hung onto a list or a Map is data that its form does not show: two would share a key. */
function refuseExtras(value: object, items: number, path: Path): void {
  const names: readonly PropertyKey[] = [...Object.keys(value).slice(items), ...Object.getOwnPropertySymbols(value)];
  if (names.length === 0) return;
  const name = shortened(String(names[0]));
  throw refused(path, `has the property '${name}' beside its items`, 'Pass a plain object that holds both');
}

function encodeArray(values: readonly unknown[], path: Path): string {
  let text = `a${values.length}[`;
  let items = 0;
  for (let index = 0; index < values.length; index++) {
    if (!Object.hasOwn(values, index)) {
      text += 'h';
      continue;
    }
    items++;
    path.enter(index);
    text += encode(values[index], path);
    path.leave();
  }
  refuseExtras(values, items, path);
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

function encodeBytes(name: string, buffer: ArrayBufferLike, offset: number, length: number, path: Path): string {
  if ('detached' in buffer && buffer.detached)
    throw refused(path, 'has given its bytes away (it was transferred)', 'Make the key before that');
  return `b${name}:${length}:${Buffer.from(buffer as ArrayBuffer, offset, length).toString('base64')};`;
}

/** The kind of a view, or undefined for an instance of a class that extends one. */
function viewName(view: ArrayBufferView, prototype: unknown): string | undefined {
  if (prototype === Buffer.prototype) return 'Uint8Array';
  // This tag is a getter that reads the view's own kind, whatever its class is called; a DataView's is a constant.
  const name = types.isDataView(view) ? 'DataView' : (view as Uint8Array)[Symbol.toStringTag];
  const kind = (globalThis as Readonly<Record<string, unknown>>)[name];
  return typeof kind === 'function' && kind.prototype === prototype ? name : undefined;
}

/** What a class or function is called; empty when that is not a text, which a static property can bring about. */
function nameOf(named: unknown): string {
  const name: unknown = typeof named === 'function' ? named.name : '';
  return typeof name === 'string' ? shortened(name) : '';
}

function shortened(name: string): string {
  return name.length <= longestName ? name : `${name.slice(0, longestName - 3)}...`;
}

function refused(path: Path, why: string, mend: string): WarmpathError {
  return new WarmpathError('WP_BAD_KEY', `${path} ${why} and has no canonical form. ${mend}.`, {
    details: { path: String(path) },
  });
}
