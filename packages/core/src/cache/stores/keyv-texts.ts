import { hash } from 'node:crypto';
import { packEntry, unpackEntry } from '../envelope.js';
import type { StoredEntry } from '../store.js';
import { damaged } from './keyv-calls.js';

/** One entry, with the markers that ruled it when it was written: its namespace's first, then one for each of its tags. */
export interface KeyvRecord {
  readonly entry: StoredEntry;
  readonly markers: readonly number[];
}

/** `e`: an entry. `t`: the marker of a tag. `a`: that of all tags of a namespace. `n`: that of the namespace. */
type Kind = 'e' | 't' | 'a' | 'n';

/** Changes when the form of what is written changes: text of another version counts as none. */
const version = 'wp2:';

/** Adapters have limits: 255 characters in SQL, no blanks in Memcached, whole texts only in UTF-8. */
const portable = /^[!-~]{1,200}$/;

/**
 * The key that a Keyv sees. The length of the namespace keeps those apart whose name and key run into each other; what not
 * every adapter can keep goes by its digest, of UTF-16 so that no two texts share one.
 */
export function keyvKey(kind: Kind, namespace: string, name = ''): string {
  const key = `wp-${kind}${namespace.length}/${namespace}/${name}`;
  return portable.test(key) ? key : `wp-${kind}#${hash('sha256', Buffer.from(key, 'utf16le'), 'hex')}`;
}

export function isTagKey(key: string): boolean {
  return key.startsWith('wp-t');
}

/** The key is part of the text: some adapters take keys for equal that are not, in case for one. */
export function recordText(key: string, { entry, markers }: KeyvRecord): string {
  const bytesAt = 1 + key.length + markerBytes * markers.length;
  const bytes = Buffer.allocUnsafe(bytesAt + entry.bytes.length);
  bytes.writeUInt8(key.length, 0);
  bytes.write(key, 1, 'latin1');
  let at = 1 + key.length;
  for (const marker of markers) at = bytes.writeUIntLE(marker, at, markerBytes);
  bytes.set(entry.bytes, bytesAt);
  const packed = packEntry({ ...entry, bytes });
  return version + Buffer.from(packed.buffer, packed.byteOffset, packed.length).toString('base64');
}

/** What a Keyv has under a key of ours. Never throws; the entry's bytes are nobody else's. */
export function readRecord(key: string, value: unknown): KeyvRecord | 'unreadable' | undefined {
  if (value === undefined || value === null) return undefined;
  if (value === damaged || typeof value !== 'string' || !value.startsWith(version)) return 'unreadable';
  const packed = unpackEntry(Buffer.from(value.slice(version.length), 'base64'));
  if (!packed) return 'unreadable';
  const bytes = Buffer.from(packed.bytes.buffer, packed.bytes.byteOffset, packed.bytes.length);
  const markersAt = 1 + key.length;
  const bytesAt = markersAt + markerBytes * (1 + packed.tags.length);
  if (bytes.length < bytesAt || bytes[0] !== key.length || bytes.toString('latin1', 1, markersAt) !== key)
    return 'unreadable';
  const markers: number[] = [];
  for (let at = markersAt; at < bytesAt; at += markerBytes) markers.push(bytes.readUIntLE(at, markerBytes));
  return { entry: { ...packed, bytes: packed.bytes.subarray(bytesAt) }, markers };
}

const markerBytes = 6;

export function markerText(marker: number): string {
  return version + marker;
}

/** Undefined for everything that is no marker: one that cannot be read is as good as lost. */
export function readMarker(value: unknown): number | undefined {
  const digits = typeof value === 'string' ? /^wp2:(\d{1,15})$/.exec(value)?.[1] : undefined;
  return digits === undefined ? undefined : Number(digits);
}
