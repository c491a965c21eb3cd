import { statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { sqliteFiles } from '../../../../test/sqlite-files.js';
import { seededRandom } from '../../../kernel/index.js';
import { createFakeClock, type FakeClock } from '../../../testing/index.js';
import { StoreProbe } from '../../../testing/store-probe.js';
import type { SqliteStore } from './sqlite-store.js';

const { newFile, open, connect } = sqliteFiles();

interface Setup {
  readonly file: string;
  readonly clock: FakeClock;
  readonly store: SqliteStore;
  readonly probe: StoreProbe;
}

function setup(maxBytes: number, file: string = newFile()): Setup {
  const clock = createFakeClock();
  const store = open({ file, clock, maxBytes });
  return { file, clock, store, probe: new StoreProbe(store, clock) };
}

async function fill(probe: StoreProbe, names: readonly string[], bytes: number, keptMs = 1e9): Promise<void> {
  await probe.write(names.map((key) => ({ key, entry: probe.entryOf('x'.repeat(bytes), { keptMs }) })));
}

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, at) => `${prefix} ${at}`);

async function present(probe: StoreProbe, keys: readonly string[]): Promise<number> {
  return (await probe.texts(keys)).filter((text) => text !== undefined).length;
}

describe('the size limit of a SQLite store', () => {
  it('holds after every write', async () => {
    const { store, probe } = setup(100_000);
    const random = seededRandom(7);
    for (let round = 0; round < 60; round++) {
      await fill(probe, names(`round ${round}`, 10), Math.floor(random() * 3_000));
      expect(store.stats().usedBytes).toBeLessThanOrEqual(100_000);
    }
    const { usedBytes, evicted, total } = store.stats();
    expect(usedBytes).toBeGreaterThan(90_000);
    expect(evicted).toBe(600 - total.entries);
  });

  it('lets what was read stay, and what was not go, oldest first', async () => {
    const { probe } = setup(100_000);
    const [old, loved, fresh] = [names('old', 60), names('loved', 60), names('fresh', 60)];
    await fill(probe, loved, 400);
    await fill(probe, old, 400);
    await probe.texts(loved);
    await fill(probe, fresh, 400);
    expect(await present(probe, loved)).toBe(60);
    expect(await present(probe, fresh)).toBe(60);
    const left = await probe.texts(old);
    const survivors = left.filter((text) => text !== undefined).length;
    expect(survivors).toBeLessThan(60);
    expect(left.slice(60 - survivors).every((text) => text !== undefined)).toBe(true);
  });

  it('lets go of what was read once, when it is not read again', async () => {
    const { probe } = setup(100_000);
    const [once, scan] = [names('once', 60), names('scan', 1_000)];
    await fill(probe, once, 400);
    await probe.texts(once);
    for (let at = 0; at < scan.length; at += 20) await fill(probe, scan.slice(at, at + 20), 400);
    expect(await present(probe, once)).toBe(0);
  });

  it('takes what is overdue and what was cleared before anything that is still good', async () => {
    const { clock, probe } = setup(100_000);
    const [good, overdue, more] = [names('good', 60), names('overdue', 40), names('more', 80)];
    await fill(probe, good, 400);
    await fill(probe, overdue, 400, 1_000);
    await fill(probe.in('cleared'), names('cleared', 40), 400);
    clock.stepWall(1_001);
    await probe.in('cleared').clear();
    await fill(probe, more, 400);
    expect(await present(probe, good)).toBe(60);
    expect(await present(probe, more)).toBe(80);
    expect(await present(probe, overdue)).toBeLessThan(40);
  });

  it('does not keep a value that would push out too much else, nor what it was to replace', async () => {
    const { store, probe } = setup(100_000);
    await fill(probe, names('other', 100), 400);
    await probe.set('key', 'small');
    expect(await probe.set('key', 'x'.repeat(13_000))).toBe(true);
    expect(await probe.text('key')).toBe(undefined);
    expect(await present(probe, names('other', 100))).toBe(100);
    expect(await probe.set('key', 'x'.repeat(12_000))).toBe(true);
    expect(store.stats().evicted).toBeGreaterThan(0);
    expect((await probe.text('key'))?.length).toBe(12_000);
  });

  it('is kept to in the background when it is lowered, and the disk gets its pages back', async () => {
    const { file, store, probe } = setup(20_000_000);
    for (let at = 0; at < 3_000; at += 250) await fill(probe, names(`${at}`, 250), 6_000);
    await store.close();
    expect(statSync(file).size).toBeGreaterThan(18_000_000);
    const lower = setup(1_000_000, file);
    await lower.probe.set('key', 'value');
    for (let second = 0; second < 10; second++) await lower.clock.advance(1_000);
    expect(lower.store.stats().usedBytes).toBeLessThanOrEqual(1_000_000);
    await lower.store.close();
    expect(statSync(file).size).toBeLessThan(7_000_000);
  });

  it('bounds the file through a year of everything', { timeout: 60_000 }, async () => {
    const maxBytes = 2_000_000;
    const { file, clock, store, probe } = setup(maxBytes);
    const random = seededRandom(11);
    const dayMs = 86_400_000;
    let [largest, largestLog] = [0, 0];
    for (let day = 0; day < 365; day++) {
      // Sizes from 20 bytes to 60 kB, as many of each magnitude; and for a month the one that fits pages worst.
      const entries = names(`${day}`, 60).map((key) => {
        const bytes = day % 12 === 0 ? 2_100 : Math.floor(20 * Math.exp(random() * 8));
        return {
          key,
          entry: probe.entryOf('x'.repeat(bytes), { tags: [`tag ${day % 40}`], keptMs: random() * 60 * dayMs }),
        };
      });
      await probe.write(entries);
      await probe.texts(names(`${day - Math.floor(random() * 5)}`, 30));
      await probe.delete(...names(`${day - 1}`, 20), ...names(`gone ${day}`, 20));
      await probe.invalidateTags(`tag ${day % 7}`, ...names(`tag of ${day}`, 10));
      if (day % 30 === 0) await probe.clear();
      await clock.advance(2_000);
      clock.stepWall(dayMs - 2_000);
      largest = Math.max(largest, statSync(file).size);
      largestLog = Math.max(largestLog, store.stats().fileBytes - statSync(file).size);
    }
    expect(store.stats().evicted).toBeGreaterThan(1_000);
    expect(largest).toBeLessThan(2 * maxBytes);
    expect(largestLog).toBeLessThan(10_000_000);
  });

  it('bounds the log while somebody keeps an old snapshot open: then nothing is stored, and invalidations are', async () => {
    const { file, store, probe } = setup(80_000_000);
    await probe.set('old', 'value');
    const reader = connect(file);
    reader.exec('begin; select * from cache1_file');
    for (let at = 0; at < 12; at++) await fill(probe, names(`${at}`, 25), 400_000);
    expect(store.stats().fileBytes).toBeLessThan(200_000_000);
    expect(await probe.set('late', 'value')).toBe(true);
    expect(await probe.text('late')).toBe(undefined);
    await probe.delete('old');
    expect(await probe.text('old')).toBe(undefined);
    reader.exec('commit');
    await fill(probe, names('again', 2), 100);
    await probe.clear();
    await fill(probe, names('again', 2), 100);
    expect(await present(probe, names('again', 2))).toBe(2);
  });
});
