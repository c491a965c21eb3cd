import { types } from 'node:util';
import { WarmpathError } from './errors.js';
import { KeyBytes, tag } from './key-bytes.js';

/** Deeper than any request; reached only by a value that contains itself. */
const deepest = 256;

/** How much of a property's name a refusal prints. */
const longestName = 40;

/** Up to so many names an insertion sort costs less than the engine's. */
const fewNames = 16;

/** Writes values in their canonical form: see `canonicalKey`. Not to be used again after a refusal. */
export class KeyEncoder {
  readonly bytes: KeyBytes = new KeyBytes();
  /** The way to where it stands: the first `#depth` of them. Never cleared, only overwritten: it costs one store a step. */
  readonly #steps: (string | number)[] = [];
  #depth = 0;

  encode(value: unknown): void {
    const { bytes } = this;
    switch (typeof value) {
      case 'string':
        bytes.text(value);
        break;
      case 'number':
        this.#number(value);
        break;
      case 'boolean':
        bytes.tag(value ? tag.true : tag.false);
        break;
      case 'undefined':
        bytes.tag(tag.undefined);
        break;
      case 'bigint':
        bytes.tag(tag.bigint);
        bytes.text(String(value));
        break;
      case 'object':
        if (value === null) bytes.tag(tag.null);
        else this.#object(value);
        break;
      case 'function':
        throw this.#refused(`is the function '${nameOf(value) || 'anonymous'}'`, 'Pass a name instead');
      default:
        throw this.#refused(`is the symbol '${shortened(String(value))}'`, 'Pass a string instead');
    }
  }

  /** One form for each number: whole ones of 31 bits have their own. */
  #number(value: number): void {
    if ((value | 0) === value && value >= 0 && !Object.is(value, -0)) this.bytes.count(tag.whole, value);
    else if (Number.isNaN(value)) this.bytes.tag(tag.nan);
    else this.bytes.double(tag.double, value);
  }

  #object(value: object): void {
    const prototype: unknown = Object.getPrototypeOf(value);
    // The kind is asked of the value itself and of its prototype: a class that extends Map has data that a Map has not.
    if (prototype === Object.prototype || prototype === null) this.#record(value);
    else if (prototype === Array.prototype && Array.isArray(value)) this.#array(value);
    else if (this.#binary(value, prototype)) return;
    else if (this.#builtin(value, prototype)) this.#refuseExtras(value, 0);
    else {
      const name = nameOf(value.constructor) || 'an unnamed class';
      throw this.#refused(`is an instance of ${name}`, 'Pass its data as a plain object');
    }
  }

  /** False when it is none. */
  #binary(value: object, prototype: unknown): boolean {
    if (types.isArrayBuffer(value) && prototype === ArrayBuffer.prototype) {
      this.#bytesOf('ArrayBuffer', value, 0, value.byteLength);
      return true;
    }
    if (!ArrayBuffer.isView(value)) return false;
    const name = viewName(value, prototype);
    if (name === undefined) return false;
    this.#bytesOf(name, value.buffer, value.byteOffset, value.byteLength);
    return true;
  }

  /** False when it is none of them. */
  #builtin(value: object, prototype: unknown): boolean {
    const { bytes } = this;
    if (types.isDate(value) && prototype === Date.prototype) {
      bytes.tag(tag.date);
      this.#number(value.getTime());
    } else if (types.isMap(value) && prototype === Map.prototype) {
      this.#unordered(tag.map, value, '(Map)', ([key, held]) => {
        this.encode(key);
        this.encode(held);
      });
    } else if (types.isSet(value) && prototype === Set.prototype) {
      this.#unordered(tag.set, value, '(Set)', (member) => this.encode(member));
    } else if (types.isRegExp(value) && prototype === RegExp.prototype) {
      bytes.tag(tag.regExp);
      bytes.text(value.source);
      bytes.text(value.flags);
    } else if (value instanceof URL && prototype === URL.prototype) {
      bytes.tag(tag.url);
      bytes.text(value.href);
    } else return false;
    return true;
  }

  #record(record: object): void {
    if (Object.getOwnPropertySymbols(record).length > 0)
      throw this.#refused('has a symbol as a property', 'Use a string');
    const names = sortedNames(record);
    this.bytes.count(tag.record, names.length);
    const depth = this.#enter();
    for (const name of names) {
      this.#steps[depth] = name;
      this.bytes.text(name);
      this.encode((record as Readonly<Record<string, unknown>>)[name]);
    }
    this.#depth = depth;
  }

  #array(values: readonly unknown[]): void {
    const { length } = values;
    this.bytes.count(tag.array, length);
    const depth = this.#enter();
    let items = 0;
    for (let index = 0; index < length; index++) {
      const value = values[index];
      if (value === undefined && !Object.hasOwn(values, index)) {
        this.bytes.tag(tag.hole);
        continue;
      }
      items++;
      this.#steps[depth] = index;
      this.encode(value);
    }
    this.#depth = depth;
    this.#refuseExtras(values, items);
  }

  #unordered<Item>(
    kind: number,
    items: Iterable<Item> & { readonly size: number },
    step: string,
    encode: (item: Item) => void,
  ): void {
    this.bytes.count(kind, items.size);
    const depth = this.#enter();
    this.#steps[depth] = step;
    const start = this.bytes.length;
    const texts: string[] = [];
    for (const item of items) {
      encode(item);
      texts.push(this.bytes.takeFrom(start));
    }
    for (const text of texts.sort()) this.bytes.putBack(text);
    this.#depth = depth;
  }

  #bytesOf(name: string, buffer: ArrayBufferLike, offset: number, length: number): void {
    if ('detached' in buffer && buffer.detached)
      throw this.#refused('has given its bytes away (it was transferred)', 'Make the key before that');
    this.bytes.count(tag.bytes, length);
    this.bytes.text(name);
    this.bytes.bytes(new Uint8Array(buffer, offset, length));
  }

  /** What somebody has hung onto a list or a Map is data that its form does not show: two would share a key. */
  #refuseExtras(value: object, items: number): void {
    const names = Object.keys(value);
    const symbols = Object.getOwnPropertySymbols(value);
    if (names.length === items && symbols.length === 0) return;
    const name = shortened(String(names[items] ?? symbols[0]));
    throw this.#refused(`has the property '${name}' beside its items`, 'Pass a plain object that holds both');
  }

  /** Goes one level down. @returns where among the steps those of this level go; the depth to come back to */
  #enter(): number {
    if (this.#depth === deepest) {
      this.#depth = 8;
      throw this.#refused(
        `nests deeper than ${deepest} levels or contains itself`,
        'Pass the data that tells calls apart',
      );
    }
    return this.#depth++;
  }

  #refused(why: string, mend: string): WarmpathError {
    const steps = this.#steps.slice(0, this.#depth);
    const path = `key${steps.map((step) => (typeof step === 'number' ? `[${step}]` : `.${shortened(step)}`)).join('')}`;
    return new WarmpathError('WP_BAD_KEY', `${path} ${why} and has no canonical form. ${mend}.`, { details: { path } });
  }
}

function sortedNames(record: object): string[] {
  const names = Object.keys(record);
  for (let index = 1; index < names.length; index++) {
    if (isAfter(names[index - 1] ?? '', names[index] ?? ''))
      return names.length > fewNames ? names.sort() : sortFew(names, index);
  }
  return names;
}

/** Insertion sort in place, of names that are sorted below `from`. */
function sortFew(names: string[], from: number): string[] {
  for (let index = from; index < names.length; index++) {
    const name = names[index] ?? '';
    let free = index;
    for (; free > 0 && isAfter(names[free - 1] ?? '', name); free--) names[free] = names[free - 1] ?? '';
    names[free] = name;
  }
  return names;
}

/** As the engine sorts, by UTF-16 code units; most names differ in the first. */
function isAfter(left: string, right: string): boolean {
  const [first, second] = [left.charCodeAt(0) || 0, right.charCodeAt(0) || 0];
  return first === second ? left > right : first > second;
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
