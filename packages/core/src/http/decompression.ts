import { pipeline, Readable, type Transform } from 'node:stream';
import { promisify } from 'node:util';
import { brotliDecompress, createBrotliDecompress, createGunzip, gunzip } from 'node:zlib';
import type { HttpResponseHeaders } from './contract.js';

/** What is asked for. */
export const acceptedEncodings = 'gzip, br';

type Whole = (bytes: Uint8Array, options: { maxOutputLength: number }) => Promise<Buffer>;

export interface Coding {
  readonly whole: Whole;
  readonly stream: () => Transform;
}

const gzip: Coding = {
  whole: promisify<Uint8Array, { maxOutputLength: number }, Buffer>(gunzip),
  stream: () => createGunzip(),
};
const brotli: Coding = {
  whole: promisify<Uint8Array, { maxOutputLength: number }, Buffer>(brotliDecompress),
  stream: () => createBrotliDecompress(),
};
const codings: ReadonlyMap<string, Coding> = new Map([
  ['gzip', gzip],
  ['x-gzip', gzip],
  ['br', brotli],
]);

/** More than this many one after the other is an attack. */
const mostCodings = 3;

/** What has to be undone, the last first; none where the body is as it is, or is packed in a way that nobody asked for. */
export function codingsOf(headers: HttpResponseHeaders): readonly Coding[] {
  const said = headers['content-encoding'];
  if (said === undefined) return [];
  const found = String(said)
    .toLowerCase()
    .split(',')
    .map((name) => codings.get(name.trim()));
  if (found.length > mostCodings || found.includes(undefined)) return [];
  return found.filter((coding) => coding !== undefined).reverse();
}

/** @throws RangeError `ERR_BUFFER_TOO_LARGE` above `maxBytes`; errors of zlib for what is damaged or cut */
export async function decompressed(bytes: Buffer, steps: readonly Coding[], maxBytes: number): Promise<Buffer> {
  let result = bytes;
  for (const { whole } of steps) result = await whole(result, { maxOutputLength: maxBytes });
  return result;
}

/** As much of it as `maxBytes` or what is whole of `bytes` allows. */
export async function beginningOf(bytes: Buffer, steps: readonly Coding[], maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of decompressing([bytes], steps, () => {})) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= maxBytes) break;
  }
  return Buffer.concat(chunks, Math.min(size, maxBytes));
}

/**
 * Leaving it early leaves `chunks` early.
 * @param onFailure is told of an error, whether it is of `chunks` or of zlib, and throws it as what it is to be; or this ends there
 */
export async function* decompressing(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  steps: readonly Coding[],
  onFailure: (error: Error) => void,
): AsyncGenerator<Uint8Array, undefined> {
  let stream: Readable = Readable.from(chunks);
  // Each failure reaches the last stream, where the reader hears of it.
  for (const step of steps) stream = pipeline(stream, step.stream(), () => {});
  try {
    yield* stream;
  } catch (error) {
    onFailure(error as Error);
  }
  return undefined;
}
