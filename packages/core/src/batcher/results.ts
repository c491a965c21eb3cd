import { WarmpathError } from '../kernel/index.js';
import { isWanted, type Load } from './load.js';

/** Says what each load has got. @throws WarmpathError `WP_BATCH_MISMATCH` where that cannot be told */
export function giveOut<Item, Result>(
  name: string,
  loads: readonly Load<Item, Result>[],
  results: unknown,
  to: { answer(load: Load<Item, Result>, result: Result | Error): void },
): void {
  if (Array.isArray(results)) {
    if (results.length !== loads.length)
      throw mismatch(name, loads.length, `${results.length} results`, results.length);
    for (let index = 0; index < loads.length; index++)
      to.answer(loads[index] as Load<Item, Result>, results[index] as Result | Error);
    return;
  }
  if (results instanceof Map) {
    let missing = 0;
    for (const load of loads) if (!results.has(load.key) && isWanted(load)) missing++;
    for (const load of loads) {
      if (results.has(load.key)) to.answer(load, results.get(load.key) as Result | Error);
      else if (isWanted(load)) {
        to.answer(
          load,
          mismatch(name, loads.length, `a map that lacks ${missing} of their keys`, loads.length - missing),
        );
      }
    }
    return;
  }
  const open = loads.filter((load) => isWanted(load)).length;
  if (results === undefined && open < loads.length) {
    const answered = loads.length - open;
    const error = mismatch(name, loads.length, `nothing, having settled ${answered} of them`, answered);
    for (const load of loads) if (isWanted(load)) to.answer(load, error);
    return;
  }
  if (results === undefined && open === 0) return;
  throw mismatch(name, loads.length, `no list but ${typeName(results)}`, undefined);
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? (value.constructor?.name ?? 'object') : typeof value;
}

function mismatch(name: string, items: number, got: string, results: number | undefined): WarmpathError {
  return new WarmpathError(
    'WP_BATCH_MISMATCH',
    `Batcher '${name}': the batch function got ${items} items and returned ${got}. It must return one result for each, ` +
      'in their order, or a Map by key, or settle each; an Error value fails its item alone.',
    { details: { batcher: name, items, results } },
  );
}
