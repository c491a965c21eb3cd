import { isAllNumbers } from './lists.js';
import { deepest } from './structural-copy.js';
import { ownView } from './views.js';

/**
 * A copy of plain data in which each object occurs once and lists are nothing but their items: nothing needs to be looked
 * up, checked or measured, which makes it several times faster than a StructuralCopy.
 * @returns undefined where there is anything else, so that somebody else must copy the whole
 */
export function regularCopy(original: object, depth = 0): object | undefined {
  if (depth >= deepest) return undefined;
  const prototype: unknown = Object.getPrototypeOf(original);
  if (prototype === Object.prototype) return copyRecord(original, depth);
  if (prototype === Array.prototype) return copyList(original as readonly unknown[], depth);
  if (ArrayBuffer.isView(original)) return ownView(original);
  if (prototype === Date.prototype) return new Date((original as Date).getTime());
  if (prototype === Map.prototype) return copyMap(original as ReadonlyMap<unknown, unknown>, depth);
  if (prototype === Set.prototype) return copySet(original as ReadonlySet<unknown>, depth);
  return undefined;
}

function isObject(part: unknown): part is object {
  return typeof part === 'object' && part !== null;
}

function copyRecord(original: object, depth: number): object | undefined {
  const copy: Record<string, unknown> = { ...original };
  for (const name in copy) {
    const part = copy[name];
    if (!isObject(part) || !Object.hasOwn(copy, name)) continue;
    const own = regularCopy(part, depth + 1);
    if (!own) return undefined;
    copy[name] = own;
  }
  return copy;
}

function copyList(original: readonly unknown[], depth: number): object | undefined {
  const copy = original.slice();
  if (isAllNumbers(copy)) return copy;
  for (let at = 0; at < copy.length; at++) {
    const part = copy[at];
    if (!isObject(part)) continue;
    const own = regularCopy(part, depth + 1);
    if (!own) return undefined;
    copy[at] = own;
  }
  return copy;
}

function copyMap(original: ReadonlyMap<unknown, unknown>, depth: number): object | undefined {
  const copy = new Map<unknown, unknown>();
  for (const [key, value] of original) {
    const ownKey = isObject(key) ? regularCopy(key, depth + 1) : key;
    const ownValue = isObject(value) ? regularCopy(value, depth + 1) : value;
    if ((isObject(key) && !ownKey) || (isObject(value) && !ownValue)) return undefined;
    copy.set(ownKey, ownValue);
  }
  return copy;
}

function copySet(original: ReadonlySet<unknown>, depth: number): object | undefined {
  const copy = new Set<unknown>();
  for (const member of original) {
    const own = isObject(member) ? regularCopy(member, depth + 1) : member;
    if (isObject(member) && !own) return undefined;
    copy.add(own);
  }
  return copy;
}
