const zeros = { kB: 3, MB: 6, GB: 9 } as const;

/** `'64kB'`, `'1.5MB'`, `'2GB'`, in powers of a thousand, or a number of bytes. The one way to write a size. */
export type ByteSize = number | `${number}${keyof typeof zeros}`;

const pattern = /^(\d+)(?:\.(\d+))?(kB|MB|GB)$/;

/** The bytes of a size, or undefined for anything that is not a whole number of bytes from 0 up. */
export function parseByteSize(value: unknown): number | undefined {
  if (typeof value === 'number') return wholeBytes(value);
  if (typeof value !== 'string') return undefined;
  const [, whole, part = '', unit] = pattern.exec(value) ?? [];
  if (whole === undefined) return undefined;
  const places = zeros[unit as keyof typeof zeros];
  if (Number(part.slice(places)) !== 0) return undefined; // half a byte
  // The point is moved in the text, since 1.001 * 1000 is 1000.9999999999999.
  return wholeBytes(Number(whole + part.slice(0, places).padEnd(places, '0')));
}

/** The bytes of a size that an option check has let through. */
export function byteSizeOf(size: ByteSize): number {
  const bytes = parseByteSize(size);
  if (bytes === undefined) throw new RangeError(`'${size}' is not a size such as '64kB', '100MB' or '2GB'.`);
  return bytes;
}

function wholeBytes(bytes: number): number | undefined {
  return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : undefined;
}
