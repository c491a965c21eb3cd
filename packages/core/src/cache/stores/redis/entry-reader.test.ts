import { describe, expect, it } from 'vitest';
import type { RedisPort } from '../../../kernel/index.js';
import { createFakeClock } from '../../../testing/index.js';
import { packEntry } from '../../envelope.js';
import { EntryReader } from './entry-reader.js';
import { packRecord } from './record.js';
import { redisKeys } from './redis-keys.js';
import { RedisSpace } from './redis-space.js';

const keys = redisKeys('wp', 'space');

function recordOf(text: string, tags: readonly string[] = []): Buffer {
  const entry = { bytes: Buffer.from(text), storedAt: 1, freshUntil: 2, keptUntil: 3, computeMs: 4, tags };
  const rulers = { epoch: 'epoch', clear: 0, tags: tags.map(() => 7) };
  return packRecord('genergen', rulers, packEntry(entry));
}

function setUp(values: Readonly<Record<string, Buffer>>, isCluster = false) {
  const reads: (readonly string[])[] = [];
  const trouble: { error?: Error; at?: string } = {};
  /** What happens once a read is done. */
  const onRead = { run: (): void => {} };
  const versions: unknown[] = [];
  const there: Record<string, Buffer> = { [keys.versions]: Buffer.from('epoch:9:0:7:run'), ...values };
  const port: RedisPort = {
    isCluster,
    async getMany(names) {
      reads.push(names);
      if (trouble.error && names.includes(trouble.at ?? names[0] ?? '')) throw trouble.error;
      const found = names.map((name) => there[name] ?? null);
      onRead.run();
      return found;
    },
    run: async () => Buffer.from('newer:1:0:0:run'),
    subscribe: () => () => {},
    onServer() {},
    close: async () => {},
  };
  const asking = () => (told: unknown) => void versions.push(told);
  const space = new RedisSpace({ port, keys, clock: createFakeClock(), random: () => 0.5, asking });
  const reader = new EntryReader(space);
  const read = (wanted: readonly string[], tags: readonly string[] = [], signal = new AbortController().signal) =>
    reader
      .getMany({ keys: wanted, tags, signal })
      .then(({ entries }) =>
        entries.map((entry) => (typeof entry === 'object' ? Buffer.from(entry.bytes).toString() : entry)),
      );
  return { reads, trouble, versions, there, onRead, read };
}

describe('reads of one turn of the event loop', () => {
  it('are one, in which versions and shared tags come once', async () => {
    const { reads, versions, read } = setUp({
      [keys.entry('a')]: recordOf('a', ['t']),
      [keys.entry('b')]: recordOf('b'),
      [keys.tag('t')]: Buffer.from('7'),
      [keys.tag('u')]: Buffer.from('8'),
    });
    const all = Promise.all([read(['a', 'none'], ['t', 'u']), read([]), read(['b'], ['t']), read(['a'])]);
    expect(await all).toEqual([['a', undefined], [], ['b'], ['a']]);
    const names = [keys.versions, keys.tag('t'), keys.tag('u'), ...['a', 'none', 'b', 'a'].map(keys.entry)];
    expect(reads).toEqual([names]);
    expect(versions).toEqual([expect.objectContaining({ epoch: 'epoch', seq: 9 })]);
    await read(['a'], ['t']);
    expect(reads).toHaveLength(2);
  });

  it('ask once more for tags that nobody has named', async () => {
    const { reads, read } = setUp({
      [keys.entry('a')]: recordOf('a', ['t', 'u']),
      [keys.entry('b')]: recordOf('b', ['u']),
      [keys.tag('t')]: Buffer.from('7'),
      [keys.tag('u')]: Buffer.from('8'),
    });
    expect(await Promise.all([read(['a'], ['t']), read(['b'])])).toEqual([[undefined], [undefined]]);
    expect(reads.slice(1)).toEqual([[keys.versions, keys.tag('u')]]);
  });

  it('fail together, and the next ones do not', async () => {
    const { trouble, read } = setUp({ [keys.entry('a')]: recordOf('a') });
    trouble.error = new Error('down');
    const all = await Promise.allSettled([read(['a']), read(['b'])]);
    expect(all).toEqual([0, 1].map(() => ({ status: 'rejected', reason: trouble.error })));
    delete trouble.error;
    expect(await read(['a'])).toEqual(['a']);
  });

  it('share in a cluster only what is on one server, so that one which fails concerns only those whose keys it has', async () => {
    const values = { [keys.entry('a')]: recordOf('a', ['t']), [keys.tag('t')]: Buffer.from('7') };
    const { reads, trouble, read } = setUp(values, true);
    expect(await Promise.all([read(['a', 'none'], ['t']), read(['a'], ['t'])])).toEqual([['a', undefined], ['a']]);
    expect(reads).toEqual([[keys.versions, keys.tag('t')], [keys.entry('a'), keys.entry('none')], [keys.entry('a')]]);
    Object.assign(trouble, { error: new Error('down'), at: keys.entry('b') });
    const [good, bad] = await Promise.allSettled([read(['a'], ['t']), read(['a', 'b'])]);
    expect([good, bad.status]).toEqual([{ status: 'fulfilled', value: ['a'] }, 'rejected']);
    trouble.at = keys.versions;
    const all = await Promise.allSettled([read(['a'], ['t']), read([])]);
    expect(all.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('leave out those that nobody waits for any more', async () => {
    const { reads, read } = setUp({ [keys.entry('a')]: recordOf('a') });
    const reason = new Error('late');
    const aborted = read(['b'], [], AbortSignal.abort(reason));
    expect(await read(['a'])).toEqual(['a']);
    await expect(aborted).rejects.toBe(reason);
    expect(reads).toEqual([[keys.versions, keys.entry('a')]]);
    await expect(read(['b'], [], AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(reads).toHaveLength(1);
  });

  it('come in pieces when there are many, the versions first', async () => {
    const { reads, read } = setUp({ [keys.entry('key 1200')]: recordOf('far') });
    const many = Array.from({ length: 1_300 }, (_, index) => `key ${index}`);
    expect((await read(many))[1_200]).toBe('far');
    expect(reads.map((names) => names.length)).toEqual([500, 500, 301]);
    expect(reads[0]?.[0]).toBe(keys.versions);
  });

  it.each(['other:9:0:7:run', 'epoch:9:0:7:another', undefined])(
    'hold no entry against the number of its tag once the versions are %s',
    async (later) => {
      const { there, onRead, read } = setUp({
        [keys.entry('a')]: recordOf('a', ['t']),
        [keys.tag('t')]: Buffer.from('7'),
      });
      expect(await read(['a'])).toEqual(['a']);
      onRead.run = () => {
        delete there[keys.versions];
        if (later !== undefined) there[keys.versions] = Buffer.from(later);
      };
      expect(await read(['a'])).toEqual([undefined]);
    },
  );

  it('read the versions and all tags at the same time, however many they are', async () => {
    const { reads, read } = setUp({});
    const many = Array.from({ length: 600 }, (_, index) => `tag ${index}`);
    await read(['a', 'b'], many);
    expect(reads.map((names) => names.length)).toEqual([601, 2]);
  });

  it('find nothing where there are no versions, which are begun anew', async () => {
    const { there, versions, read } = setUp({ [keys.entry('a')]: recordOf('a') });
    delete there[keys.versions];
    expect(await read(['a'])).toEqual([undefined]);
    expect(versions).toEqual([expect.objectContaining({ epoch: 'newer' })]);
  });
});
