/** In the order of their numbers in stored bytes, which never changes: new kinds are appended. */
const kinds = [
  'Buffer',
  'DataView',
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
  'Float16Array',
] as const;

/** The class of a view: that of the platform, also for an instance of a class that extends it. */
export type ViewKind = (typeof kinds)[number];

type ViewClass = new (buffer: ArrayBuffer) => ArrayBufferView;

/** This getter of all typed arrays reads the kind of the view itself, whatever its class is called. */
const typedArrayName = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag)
  ?.get as (this: ArrayBufferView) => ViewKind | undefined;

export function kindOf(view: ArrayBufferView): ViewKind {
  return Buffer.isBuffer(view) ? 'Buffer' : (typedArrayName.call(view) ?? 'DataView');
}

export function kindNumber(kind: ViewKind): number {
  return kinds.indexOf(kind);
}

/** Undefined for one that a later version must have written. */
export function kindNamed(number: number): ViewKind | undefined {
  return kinds[number];
}

/**
 * A view of the whole of a buffer.
 * @throws RangeError when the bytes are no whole number of elements
 * @returns undefined for a kind that this runtime does not know
 */
export function viewOf(kind: ViewKind | undefined, buffer: ArrayBuffer): ArrayBufferView | undefined {
  if (kind === undefined) return undefined;
  if (kind === 'Buffer') return Buffer.from(buffer);
  const View = (globalThis as Readonly<Record<string, unknown>>)[kind] as ViewClass | undefined;
  return View && new View(buffer);
}

/**
 * A view of the same kind over a buffer that holds its bytes and nothing else.
 * @throws TypeError for one whose buffer was transferred or has become too short
 */
export function ownView(view: ArrayBufferView): ArrayBufferView {
  const own = new Uint8Array(view.byteLength);
  own.set(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
  return viewOf(kindOf(view), own.buffer) ?? own;
}
