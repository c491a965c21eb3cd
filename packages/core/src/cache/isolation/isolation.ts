import { footprint, primitiveBytes } from './footprint.js';
import { regularCopy } from './regular-copy.js';
import { StructuralCopy } from './structural-copy.js';

/**
 * How the values that memory keeps are kept apart from what callers hold. What is kept is data: a copy has the semantics
 * of structuredClone, so that instances of classes become plain objects, except that views keep just their own bytes, a
 * Buffer stays a Buffer and shared memory is refused.
 *
 * - `'frozen'`: one private copy is made and deeply frozen when a value is kept, and that very object goes to every
 *   reader, at no cost. A value that holds something that freezing does not protect, such as a Map, a Date, a typed array
 *   or a Buffer, is copied for each reader instead.
 * - `'copy'`: every reader gets a copy of its own, which it may change.
 * - `'shared'`: the value itself is kept and handed out, functions and instances of classes as they are. Nothing protects it.
 */
export type Isolation = 'frozen' | 'copy' | 'shared';

export interface Kept {
  readonly value: unknown;
  /**
   * Estimated bytes on the heap, each part counted once. A substring counts with its own length, though V8 may keep the
   * text that it was cut from.
   */
  readonly bytes: number;
  /** Whether the value itself may be handed out; otherwise each reader gets `copyOf(value)`. */
  readonly isShareable: boolean;
}

/** All objects of kept values in which an object occurs twice, or a list has more than items: to be copied with care. */
const irregular = new WeakSet<object>();

/**
 * What memory may hold of a value, whatever happens to the value itself from now on. Cost: 0.9 µs for a 250-byte object,
 * 1.1 µs when it is frozen as well; 30 ns for text.
 * @returns undefined for what has no copy where the mode needs one: functions, symbols, proxies, handles, shared memory,
 *   more than 500 levels of nesting, getters that throw
 */
export function keep(value: unknown, mode: Isolation): Kept | undefined {
  if (mode === 'shared') return { value, bytes: footprint(value), isShareable: true };
  if (typeof value === 'function' || typeof value === 'symbol') return undefined;
  if (typeof value !== 'object' || value === null) return { value, bytes: primitiveBytes(value), isShareable: true };
  try {
    const copy = new StructuralCopy();
    const kept = copy.of(value);
    if (!copy.isRegular) for (const object of copy.objects) irregular.add(object);
    const isShareable = mode === 'frozen' && copy.isFreezable;
    if (isShareable) copy.freeze();
    return { value: kept, bytes: copy.bytes, isShareable };
  } catch {
    return undefined;
  }
}

/**
 * A copy of one's own of what `keep` kept, or of a part of it. Cost: 0.2 µs for a 250-byte object (structuredClone: 2.5 µs).
 * @throws DataCloneError for what `keep` would not have kept
 */
export function copyOf<V>(value: V): V {
  if (typeof value !== 'object' || value === null) return value;
  const copy = irregular.has(value) ? undefined : regularCopy(value);
  return (copy ?? new StructuralCopy().of(value)) as V;
}
