import { endianness } from 'node:os';
import { badOption, rule } from '../kernel/index.js';
import { inBandError, type JsonObject, type ModelServer, malformed } from './server-errors.js';

const isBigEndian = endianness() === 'BE';

const textList = rule.arrayOf({ text: 'a string', allows: (value) => typeof value === 'string' });

/** A text alone would pass for a list of its letters. @throws WarmpathError `WP_BAD_OPTION` */
export function checkTexts(texts: readonly string[]): void {
  if (!textList.allows(texts)) throw badOption('embed()', 'texts', textList.text, texts, true);
}

/** What an answer with so many vectors may take, in characters: vectors of 8,192 numbers in JSON, and some. */
export function longestVectors(count: number): number {
  return Math.min(512, 8 + count / 4) * 1024 * 1024;
}

/** The list of an answer that holds something for each text. @throws WarmpathError `WP_MODEL_RESPONSE` for any other */
export function listOf(server: ModelServer, answer: JsonObject, list: unknown, count: number): readonly unknown[] {
  const error = inBandError(server, answer);
  if (error) throw error;
  if (!Array.isArray(list)) throw malformed(server, 'an answer without vectors', JSON.stringify(answer));
  if (list.length !== count) throw malformed(server, `${list.length} vectors for ${count} texts`, '');
  return list;
}

/**
 * The vectors of an answer.
 * @param values each a list of numbers, or the base64 of little-endian 32-bit floats
 * @param dimensions how long each has to be; undefined: as long as the first
 * @throws WarmpathError `WP_MODEL_RESPONSE` for anything but finite numbers, and for other lengths
 */
export function vectorsOf(
  server: ModelServer,
  values: readonly unknown[],
  dimensions: number | undefined,
): Float32Array[] {
  let length = dimensions;
  return values.map((value, index) => {
    const vector = typeof value === 'string' ? fromBase64(value) : fromNumbers(value);
    if (!vector?.every((number) => Number.isFinite(number))) {
      throw malformed(server, `something else than numbers as vector ${index}`, JSON.stringify(value) ?? '');
    }
    length ??= vector.length;
    if (vector.length === length && length > 0) return vector;
    throw malformed(server, `a vector of ${vector.length} numbers where ${length || 'some'} belong`, '');
  });
}

function fromNumbers(value: unknown): Float32Array | undefined {
  // The constructor would take null for 0, and a text for the number that it spells.
  return Array.isArray(value) && value.every((each) => typeof each === 'number') ? new Float32Array(value) : undefined;
}

function fromBase64(text: string): Float32Array | undefined {
  const bytes = Buffer.from(text, 'base64');
  // What is no base64 is left out without a word, and then bytes are missing.
  if (bytes.length !== Buffer.byteLength(text, 'base64') || bytes.length % 4 !== 0) return undefined;
  if (isBigEndian) bytes.swap32();
  const vector = new Float32Array(bytes.length / 4);
  new Uint8Array(vector.buffer).set(bytes); // its own memory, and aligned, which that of a Buffer need not be
  return vector;
}
