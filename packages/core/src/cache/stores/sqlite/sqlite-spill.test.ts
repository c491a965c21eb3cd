import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { setUp } from '../../../../test/cache-set-up.js';
import { drain } from '../../../../test/stream-set-up.js';
import { sqliteSpill } from './sqlite-spill.js';

const root = mkdtempSync(join(tmpdir(), 'warmpath-spill-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

function newFolder(name: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  return folder;
}

const piece = (byte: number, length = 64_000): Uint8Array => new Uint8Array(length).fill(byte);

it('gives back pieces by their number, each file its own', () => {
  const spill = sqliteSpill({ folder: newFolder('pieces') });
  const [one, two] = [spill.open(), spill.open()];
  for (let byte = 0; byte < 20; byte++) {
    expect(one.append(piece(byte))).toBe(true);
    expect(two.append(piece(255 - byte, byte))).toBe(true);
  }
  for (const number of [19, 0, 7]) {
    expect(one.read(number)).toEqual(piece(number));
    expect(two.read(number)).toEqual(piece(255 - number, number));
  }
  one.close();
  one.close();
  expect(() => one.read(0)).toThrow();
  expect(two.read(19)).toEqual(piece(236, 19));
  expect(() => two.read(20)).toThrow();
  two.close();
});

it('is no folder’s burden: nothing is there before it is needed, and what is there has no name', () => {
  const folder = newFolder('names');
  const spill = sqliteSpill({ folder });
  expect(readdirSync(folder)).toEqual([]);
  const file = spill.open();
  for (let byte = 0; byte < 20; byte++) file.append(piece(byte));
  if (process.platform !== 'win32') expect(readdirSync(folder)).toEqual([]);
  expect(file.read(3)).toEqual(piece(3));
  file.close();
  expect(readdirSync(folder)).toEqual([]);
});

it('removes what a killed process has left, and nothing else', () => {
  const folder = newFolder('left');
  writeFileSync(join(folder, 'warmpath-01234567-89ab-cdef-0123-456789abcdef.spill'), 'left behind');
  writeFileSync(join(folder, 'notes.spill'), 'somebody’s');
  sqliteSpill({ folder }).open().close();
  expect(readdirSync(folder)).toEqual(['notes.spill']);
});

it('takes no more than it may, all files together, and again when one is closed', () => {
  const spill = sqliteSpill({ folder: newFolder('full'), maxBytes: '100kB' });
  const [one, two] = [spill.open(), spill.open()];
  expect([one.append(piece(1)), two.append(piece(2)), two.append(piece(3, 30_000))]).toEqual([true, false, true]);
  one.close();
  expect(two.append(piece(4))).toBe(true);
  expect(two.read(0)).toEqual(piece(3, 30_000));
  expect(two.read(1)).toEqual(piece(4));
  two.close();
});

it('says once that the disk is in trouble', () => {
  const folder = newFolder('gone');
  const spill = sqliteSpill({ folder });
  rmSync(folder, { recursive: true });
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  try {
    for (let time = 0; time < 2; time++) expect(() => spill.open()).toThrow('ENOENT');
    expect(warn.mock.calls).toEqual([[expect.stringContaining(folder), { code: 'WARMPATH_SPILL' }]]);
  } finally {
    warn.mockRestore();
  }
});

it('refuses a folder that is not there, or is a file, and options that it does not have', () => {
  const file = join(root, 'file');
  writeFileSync(file, '');
  const refused = expect.objectContaining({ code: 'WP_BAD_OPTION' });
  for (const options of [{ folder: join(root, 'none') }, { folder: file }, { maxBytes: 0 }, { file }]) {
    expect(() => sqliteSpill(options)).toThrow(refused);
  }
});

it('takes a stream of 30 MB through 1 MB of memory, for the slow and the late', async () => {
  const spill = sqliteSpill({ folder: newFolder('stream') });
  const { cache } = setUp({ maxStreamBytes: '1MB', maxBytes: '10MB', spill });
  const count = 300;
  const produce = async function* (): AsyncGenerator<{ at: number; bytes: Uint8Array }> {
    for (let at = 0; at < count; at++) yield { at, bytes: piece(at % 256, 100_000) };
  };
  const slow = await cache.stream('key', produce);
  await cache.stream('key', produce).then(async ({ chunks }) => {
    for await (const { at } of chunks) if (at === count - 1) break;
  });
  let at = 0;
  for await (const chunk of slow.chunks) {
    expect([chunk.at, chunk.bytes[99_999]]).toEqual([at, at % 256]);
    at++;
  }
  expect(at).toBe(count);
  expect(await drain(cache.stream('key', () => [1]))).toEqual([1]);
});
