import { inspect } from 'node:util';

/** Lists up to this length are looked through; of longer ones a sample stands for the rest where that will do. */
const mostNamed = 128;
const sampleSize = 64;

const namesOnly = {
  maxArrayLength: 0,
  maxStringLength: 0,
  depth: 0,
  customInspect: false,
  getters: false,
  showHidden: false,
  colors: false,
  numericSeparator: false,
} as const;

/** Whether slice() copies all of a list at its best: no properties beside the items, few holes, no class of its own. */
export function isPlainList(list: readonly unknown[]): boolean {
  if (Object.getPrototypeOf(list) !== Array.prototype || Object.hasOwn(list, 'constructor')) return false;
  const { length } = list;
  if (length <= mostNamed) {
    const names = Object.keys(list); // the items come first, in their order
    return names.length === length && (length === 0 || names[length - 1] === String(length - 1));
  }
  // Naming all items would take longer than copying them. An inspection that may show no item names the rest.
  return /^\[ \.\.\. \d+ more items \]$/.test(inspect(list, namesOnly)) && isDense(list);
}

/** A list of a few items at large indexes must not be walked from end to end. */
function isDense(list: readonly unknown[]): boolean {
  let items = 0;
  for (let at = 0; at < sampleSize; at++) {
    if (Object.hasOwn(list, Math.floor((at * list.length) / sampleSize))) items++;
  }
  return items > sampleSize / 2;
}

/**
 * Reads with at(), as all does that sees lists of any kind: optimised code that reads `list[at]` of lists of numbers and of
 * lists of objects in one place turns the former into the latter where they are, three times as large for good.
 */
export function isAllNumbers(list: readonly unknown[]): boolean {
  if (list.length > 0 && typeof list.at(0) !== 'number') return false; // lets the loop see lists of numbers only
  let at = 0;
  while (at < list.length && typeof list.at(at) === 'number') at++;
  return at === list.length;
}

/** About how many numbers of a list V8 has to hold as objects where it cannot hold them all in one run of doubles. */
export function boxedNumbers(list: readonly unknown[]): number {
  const looked = Math.min(list.length, sampleSize);
  let boxed = 0;
  for (let at = 0; at < looked; at++) {
    if (!isSmallInteger(list.at(Math.floor((at * list.length) / looked)))) boxed++;
  }
  return looked === 0 ? 0 : Math.round((boxed * list.length) / looked);
}

/** A number that V8 writes into the slot itself. */
export function isSmallInteger(value: unknown): boolean {
  return typeof value === 'number' && (value | 0) === value && !Object.is(value, -0);
}
