import { unpackEntry } from '../../envelope.js';
import type { StoredEntry } from '../../store.js';

/*
 * What lies under the name of an entry. Scripts read and write the first 16 bytes (`scripts.ts`); numbers are little-endian.
 *
 *    0  'WPR1'      4  flags (1: expired)      5  the length of the epoch      6  how many tags (uint16)
 *    8  the generation, 8 characters
 *   16  the epoch, then the number of the last clear and one for each tag (float64 each), then what `packEntry` makes
 */
const magic = 0x31_52_50_57;
const flagsAt = 4;
const epochLengthAt = 5;
const tagCountAt = 6;
const generationAt = 8;
const rulerAt = 16;
const expired = 1;
const none: readonly number[] = [];

/** A record holds no more tags than that. */
export const mostTags = 65_535;

/** What ruled an entry when it was stored: it is right as long as all of it is as it was. */
export interface Rulers {
  readonly epoch: string;
  readonly clear: number;
  /** In the order of the entry's tags. */
  readonly tags: readonly number[];
}

/** The part of a record that says under which epoch and clear it was stored. */
export function rulerBytes(epoch: string, clear: number): Buffer {
  const bytes = Buffer.allocUnsafe(epoch.length + 8);
  bytes.writeDoubleLE(clear, bytes.write(epoch, 'latin1'));
  return bytes;
}

/** @param packed what `packEntry` has made of the entry */
export function packRecord(generation: string, { epoch, clear, tags }: Rulers, packed: Uint8Array): Buffer {
  const ruler = rulerBytes(epoch, clear);
  const record = Buffer.allocUnsafe(rulerAt + ruler.length + 8 * tags.length + packed.length);
  record.writeUInt32LE(magic, 0);
  record[flagsAt] = 0;
  record[epochLengthAt] = epoch.length;
  record.writeUInt16LE(tags.length, tagCountAt);
  record.write(generation, generationAt, 'latin1');
  let at = rulerAt + ruler.copy(record, rulerAt);
  for (const version of tags) at = record.writeDoubleLE(version, at);
  record.set(packed, at);
  return record;
}

/** The generation of what is there, whole or not; undefined where it is none of ours. */
export function generationOf(record: Buffer | null): string | undefined {
  return record && isOurs(record) ? record.toString('latin1', generationAt, rulerAt) : undefined;
}

/** A whole entry, with the numbers that its tags had: it is right only if they still have them. */
export interface Candidate {
  readonly entry: StoredEntry;
  readonly tags: readonly number[];
}

/**
 * What is there: undefined for what a clear or the end of its epoch has voided. The bytes of the entry are a view of the record.
 * @param ruler of now, by `rulerBytes`
 */
export function readRecord(record: Buffer, ruler: Buffer): Candidate | 'unreadable' | undefined {
  if (!isOurs(record)) return 'unreadable';
  const tagsAt = rulerAt + (record[epochLengthAt] ?? 0) + 8;
  const count = record.readUInt16LE(tagCountAt);
  const entryAt = tagsAt + 8 * count;
  if (entryAt > record.length) return 'unreadable';
  const entry = unpackEntry(record.subarray(entryAt));
  if (entry?.tags.length !== count) return 'unreadable';
  if (tagsAt - rulerAt !== ruler.length) return undefined;
  // Byte by byte: for so few of them a native comparison costs more.
  for (let at = 0; at < ruler.length; at++) if (record[rulerAt + at] !== ruler[at]) return undefined;
  const isExpired = ((record[flagsAt] ?? 0) & expired) !== 0;
  const tags =
    count === 0 ? none : Array.from({ length: count }, (_, index) => record.readDoubleLE(tagsAt + 8 * index));
  return { entry: isExpired ? { ...entry, freshUntil: 0 } : entry, tags };
}

function isOurs(record: Buffer): boolean {
  return record.length >= rulerAt && record.readUInt32LE(0) === magic;
}
