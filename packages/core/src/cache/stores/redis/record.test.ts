import { describe, expect, it } from 'vitest';
import { packEntry } from '../../envelope.js';
import { generationOf, packRecord, readRecord, rulerBytes } from './record.js';

const entry = {
  bytes: Buffer.from('value'),
  storedAt: 1.5,
  freshUntil: 2,
  keptUntil: 3,
  computeMs: 4,
  tags: ['a', 'ü'],
};
const rulers = { epoch: 'some-epoch', clear: 2 ** 44 + 1, tags: [7, 2 ** 50] };
const ruler = rulerBytes(rulers.epoch, rulers.clear);
const record = packRecord('genergen', rulers, packEntry(entry));

describe('a record', () => {
  it('gives back its entry, what its tags were at and its generation', () => {
    const read = readRecord(record, ruler);
    expect(read).toEqual({ entry: { ...entry, bytes: expect.any(Uint8Array) }, tags: rulers.tags });
    expect(typeof read === 'object' && Buffer.from(read.entry.bytes).toString()).toBe('value');
    expect(generationOf(record)).toBe('genergen');
    expect(
      readRecord(packRecord('genergen', { ...rulers, tags: [] }, packEntry({ ...entry, tags: [] })), ruler),
    ).toEqual({
      entry: { ...entry, bytes: expect.any(Uint8Array), tags: [] },
      tags: [],
    });
  });

  it('is expired by one bit where the scripts set it', () => {
    const expired = Buffer.from(record);
    expired.writeUInt8(1, 4);
    expect(readRecord(expired, ruler)).toMatchObject({ entry: { freshUntil: 0, keptUntil: 3 } });
  });

  it.each<[string, string, number]>([
    ['another epoch', 'other-eras', rulers.clear],
    ['an epoch of another length', 'some-epoch-', rulers.clear],
    ['another clear', rulers.epoch, rulers.clear + 1],
    ['no clear', rulers.epoch, 0],
  ])('counts for nothing under %s', (_, epoch, clear) => {
    expect(readRecord(record, rulerBytes(epoch, clear))).toBeUndefined();
  });

  it('is unreadable cut anywhere, and with any byte of its entry changed', () => {
    for (let length = 0; length < record.length; length++) {
      expect(readRecord(record.subarray(0, length), ruler), `cut to ${length}`).toBe('unreadable');
    }
    const entryAt = record.length - packEntry(entry).length;
    for (let at = entryAt; at < record.length; at++) {
      const damaged = Buffer.from(record);
      damaged.writeUInt8(record.readUInt8(at) ^ 1, at);
      expect(readRecord(damaged, ruler), `changed at ${at}`).toBe('unreadable');
    }
  });

  it('is unreadable if it is none, of another version or with another number of tags', () => {
    expect(readRecord(Buffer.from('something else altogether'), ruler)).toBe('unreadable');
    expect(generationOf(Buffer.from('something else altogether'))).toBeUndefined();
    expect(generationOf(null)).toBeUndefined();
    const newer = Buffer.from(record);
    newer.write('WPR2');
    expect(readRecord(newer, ruler)).toBe('unreadable');
    expect(readRecord(packRecord('genergen', { ...rulers, tags: [7] }, packEntry(entry)), ruler)).toBe('unreadable');
  });
});
