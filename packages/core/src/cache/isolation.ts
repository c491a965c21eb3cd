/**
 * A copy that shares nothing with the original, so that what one caller does to its value reaches no other. Primitives
 * cost nothing, an object costs a structured clone.
 * @throws DataCloneError for what has no copy, such as a function
 */
export function isolated<V>(value: V): V {
  // A structured clone of a Buffer is no Buffer, and holds the whole pool that it was cut from.
  if (Buffer.isBuffer(value)) return Buffer.from(value) as V & Buffer;
  return typeof value === 'object' || typeof value === 'function' || typeof value === 'symbol'
    ? structuredClone(value)
    : value;
}

/** A copy to keep, or undefined when the value has none: it can be handed out, but not kept. */
export function keepable(value: unknown): { readonly copy: unknown } | undefined {
  try {
    return { copy: isolated(value) };
  } catch {
    return undefined;
  }
}
