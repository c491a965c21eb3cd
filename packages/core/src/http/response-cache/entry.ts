import { crc32 } from 'node:zlib';
import type { cacheStores } from 'undici';

/** undici does not export these by name. */
export type ResponseCache = Pick<
  InstanceType<typeof cacheStores.MemoryCacheStore>,
  'get' | 'createWriteStream' | 'delete'
>;
export type RequestKey = Parameters<ResponseCache['get']>[0];
export type ResponseHead = Parameters<ResponseCache['createWriteStream']>[1];
export type FoundResponse = NonNullable<Awaited<ReturnType<ResponseCache['get']>>>;

/** What is kept of one URL: its response, or how to find the one for a request. */
export interface KeptEntry {
  readonly response: KeptResponse | undefined;
  readonly variants: Variants | undefined;
}

/** Responses that vary have keys of their own, which nobody knows any more once this has been forgotten. */
export interface Variants {
  /** Names of request headers, in lower case and order. */
  readonly on: readonly string[];
  /** Unique, and part of those keys. */
  readonly under: string;
}

/**
 * A response without what its request was: the values of the headers that it varies on can be credentials, and are part of its key's
 * digest only.
 */
export interface KeptResponse extends Omit<ResponseHead, 'vary'> {
  readonly body: Buffer;
}

/** Also says that what follows is of this version. */
const mark = 'WPR1';
const prefixBytes = 12;

/** The mark, a checksum of the rest, the length of the description, the description as JSON, and the body as it came. */
export function encodeEntry({ variants, response }: KeptEntry): Uint8Array {
  const { body = Buffer.alloc(0), ...described } = response ?? {};
  const description = Buffer.from(JSON.stringify({ variants, response: response && described }));
  const prefix = Buffer.alloc(prefixBytes);
  prefix.write(mark, 'latin1');
  prefix.writeUInt32LE(description.length, 8);
  const bytes = Buffer.concat([prefix, description, body]);
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4);
  return bytes;
}

/** Undefined for what is not whole, not ours or of another version. */
export function decodeEntry(from: Uint8Array): KeptEntry | undefined {
  const bytes = Buffer.from(from.buffer, from.byteOffset, from.byteLength);
  if (bytes.length < prefixBytes || bytes.toString('latin1', 0, 4) !== mark) return undefined;
  if (crc32(bytes.subarray(8)) !== bytes.readUInt32LE(4)) return undefined;
  const end = prefixBytes + bytes.readUInt32LE(8);
  if (end > bytes.length) return undefined;
  try {
    // The checksum is ours, so what it holds for is what was written above.
    const { variants, response } = JSON.parse(bytes.toString('utf8', prefixBytes, end)) as KeptEntry;
    return { variants, response: response && { ...response, body: bytes.subarray(end) } };
  } catch {
    return undefined;
  }
}
