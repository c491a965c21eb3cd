import { types } from 'node:util';
import {
  arrayBytes,
  boxedNumberBytes,
  bufferBytes,
  dateBytes,
  footprint,
  mapBytes,
  primitiveBytes,
  recordBytes,
  setBytes,
  viewBytes,
} from './footprint.js';
import { boxedNumbers, isAllNumbers, isPlainList } from './lists.js';
import { ownView } from './views.js';

/** Levels of nesting. They take at most 0.4 of the 1 MB of stack that V8 has, so that copies are possible deep in calls. */
export const deepest = 500;

/** Up to so many objects a list is searched faster than a Map. */
const mostListed = 16;

/** Prototypes of instances that became plain objects in a structured clone. */
const plainPrototypes = new WeakSet<object>();

/**
 * One deep copy, measured while it is made. It is that of structuredClone, except that a view holds just its own bytes and
 * a Buffer stays a Buffer. Two views of one ArrayBuffer become views of two. Refused is what structuredClone refuses,
 * shared memory, and what nests deeper than 500 levels.
 */
export class StructuralCopy {
  /** Estimated bytes on the heap. */
  bytes = 0;
  /** Whether freezing protects all of it: the content of a Map or a Buffer can be changed all the same. */
  isFreezable = true;
  /** Whether each object occurs once and lists are nothing but their items. */
  isRegular = true;
  #bytesOfFreezing = 0;
  #depth = 0;
  readonly #originals: object[] = [];
  readonly #copies: object[] = [];
  #index: Map<object, object> | undefined;

  /** @throws for what has no copy, and what a getter throws */
  of(original: object): object {
    const known = this.#find(original);
    if (known) {
      this.isRegular = false;
      return known;
    }
    if (++this.#depth > deepest) throw refused(`nests deeper than ${deepest} levels`);
    if (types.isProxy(original)) throw refused('is a proxy');
    const prototype: object | null = Object.getPrototypeOf(original);
    const copy =
      prototype === Object.prototype || prototype === null ? this.#record(original) : this.#other(original, prototype);
    this.#depth--;
    return copy;
  }

  /** All objects that were made, some of them by structuredClone. */
  get objects(): readonly object[] {
    return this.#copies;
  }

  freeze(): void {
    for (const copy of this.#copies) Object.freeze(copy);
    this.bytes += this.#bytesOfFreezing;
  }

  #find(original: object): object | undefined {
    return this.#index ? this.#index.get(original) : this.#copies[this.#originals.indexOf(original)];
  }

  /** Comes before the parts are copied, since a part may contain the whole. */
  #remember<Copy extends object>(original: object, copy: Copy, bytes: number): Copy {
    this.bytes += bytes;
    this.#copies.push(copy);
    if (this.#index) {
      this.#index.set(original, copy);
    } else if (this.#originals.push(original) > mostListed) {
      this.#index = new Map(this.#copies.map((each, at) => [this.#originals[at] ?? original, each]));
    }
    return copy;
  }

  #leaf(original: object, copy: object, bytes: number): object {
    this.isFreezable = false;
    return this.#remember(original, copy, bytes);
  }

  #part(part: unknown): unknown {
    if (typeof part === 'object' && part !== null) return this.of(part);
    if (typeof part === 'function' || typeof part === 'symbol') throw refused(`is a ${typeof part}`);
    this.bytes += primitiveBytes(part);
    return part;
  }

  #record(original: object): object {
    // Spreading reads each getter once, and makes own properties of all names, `__proto__` too.
    const copy: Record<string, unknown> = { ...original };
    for (const symbol of Object.getOwnPropertySymbols(copy)) Reflect.deleteProperty(copy, symbol);
    this.#remember(original, copy, 0);
    let properties = 0;
    for (const name in copy) {
      properties++;
      const part = copy[name];
      if (typeof part === 'string' || typeof part === 'number') this.bytes += primitiveBytes(part);
      else if (typeof part === 'boolean' || part === null) continue;
      else if (Object.hasOwn(copy, name)) copy[name] = this.#part(part);
    }
    this.bytes += recordBytes(copy, properties);
    return copy;
  }

  #other(original: object, prototype: object): object {
    if (Array.isArray(original)) {
      return isPlainList(original) ? this.#list(original) : this.#oddList(original);
    }
    if (ArrayBuffer.isView(original)) return this.#leaf(original, ownView(original), viewBytes(original.byteLength));
    if (types.isMap(original)) return this.#map(original);
    if (types.isSet(original)) return this.#set(original);
    if (types.isDate(original)) {
      return this.#leaf(original, new Date(Date.prototype.getTime.call(original)), dateBytes);
    }
    if (types.isSharedArrayBuffer(original)) throw refused('is shared memory');
    if (types.isArrayBuffer(original)) {
      return this.#leaf(original, structuredClone(original), bufferBytes(original.byteLength));
    }
    return this.#instance(original, prototype);
  }

  #list(original: readonly unknown[]): unknown[] {
    const copy = this.#remember(original, original.slice(), arrayBytes(original.length));
    if (isAllNumbers(copy)) {
      this.#bytesOfFreezing += boxedNumbers(copy) * boxedNumberBytes;
      return copy;
    }
    for (let at = 0; at < copy.length; at++) {
      const part = copy[at];
      if (typeof part === 'object' && part !== null) copy[at] = this.of(part);
      else this.#part(part);
    }
    return copy;
  }

  /** With holes, with properties beside the items, or of a class that extends Array. */
  #oddList(original: readonly unknown[]): unknown[] {
    this.isRegular = false;
    const names = Object.keys(original);
    const copy: unknown[] = [];
    if (original.length > 0) {
      // Room for the last item first: an array with few items gets a table, not slots for all of them.
      copy[original.length - 1] = undefined;
      Reflect.deleteProperty(copy, original.length - 1);
    }
    this.#remember(original, copy, arrayBytes(Math.min(original.length, 6 * names.length)));
    for (const name of names) {
      const value = this.#part(Reflect.get(original, name));
      Object.defineProperty(copy, name, { value, writable: true, enumerable: true, configurable: true });
    }
    return copy;
  }

  #map(original: Map<unknown, unknown>): object {
    const copy = new Map<unknown, unknown>();
    this.#leaf(original, copy, mapBytes(original.size));
    Map.prototype.forEach.call(original, (value, key) => copy.set(this.#part(key), this.#part(value)));
    return copy;
  }

  #set(original: Set<unknown>): object {
    const copy = new Set<unknown>();
    this.#leaf(original, copy, setBytes(original.size));
    Set.prototype.forEach.call(original, (member) => copy.add(this.#part(member)));
    return copy;
  }

  /** An instance of a class, or something of the platform: which of them, only structuredClone can tell. */
  #instance(original: object, prototype: object): object {
    // Its copy would be a plain object, and show what its toJSON leaves out: a password, for example.
    if ('toJSON' in prototype && typeof prototype.toJSON === 'function') throw refused('decides about its own JSON');
    if (plainPrototypes.has(prototype)) return this.#record(original);
    const clone: object = structuredClone(original);
    if (Object.getPrototypeOf(clone) !== Object.prototype) return this.#leaf(original, clone, footprint(clone));
    plainPrototypes.add(prototype);
    return this.#record(original);
  }
}

function refused(why: string): DOMException {
  return new DOMException(`A value that ${why} has no copy.`, 'DataCloneError');
}
