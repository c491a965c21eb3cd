import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '@warmpath/core/kernel';
import { type SqliteStore, sqliteStore } from '@warmpath/core/sqlite';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { after, type Model, type Operation, textsOf } from './fixtures/sqlite-operations.js';

const worker = fileURLToPath(new URL('./fixtures/sqlite-worker.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'warmpath-sqlite-processes-'));
chmodSync(folder, 0o755);
let files = 0;
const newFile = (): string => join(folder, `${++files}.db`);

const running = new Set<ChildProcessByStdio<null, Readable, null>>();
const stores: SqliteStore[] = [];

/** What this process was warned of. */
const warnings: string[] = [];
const printers = process.listeners('warning');
beforeAll(() => {
  process.removeAllListeners('warning');
  process.on('warning', ({ message }) => warnings.push(message));
});
afterAll(() => {
  process.removeAllListeners('warning');
  for (const printer of printers) process.on('warning', printer);
});

afterEach(async () => {
  for (const child of running) child.kill('SIGKILL');
  for (const store of stores.splice(0)) await store.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Worker {
  readonly child: ChildProcessByStdio<null, Readable, null>;
  readonly lines: readonly string[];
  /** Resolves with its first line. */
  readonly first: Promise<string>;
  /** Resolves when all that it has said was read. */
  readonly over: Promise<unknown>;
}

function start(args: readonly string[], options: { readonly uid?: number; readonly shell?: string } = {}): Worker {
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', worker, ...args];
  const [program = '', ...rest] = options.shell
    ? ['sh', '-c', `${options.shell}; exec "$@"`, 'sh', ...command]
    : command;
  const child = spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
  });
  running.add(child);
  const lines: string[] = [];
  const reader = createInterface({ input: child.stdout });
  const first = once(reader, 'line').then(([line]) => String(line));
  reader.on('line', (line) => lines.push(line));
  const over = Promise.all([once(child, 'exit'), once(reader, 'close')]).then(() => running.delete(child));
  return { child, lines, first, over };
}

function open(file: string): SqliteStore {
  const store = sqliteStore({ file });
  stores.push(store);
  return store;
}

const never = (): AbortSignal => new AbortController().signal;

function write(store: SqliteStore, key: string, signal: AbortSignal = never()): Promise<readonly boolean[]> {
  const entry = { bytes: Buffer.from(key), storedAt: 1, freshUntil: 9e12, keptUntil: 9e12, computeMs: 1, tags: [] };
  return store.setMany({ namespace: 'shared', entries: [{ key, entry, fence: undefined }], signal });
}

async function texts(store: SqliteStore, namespace: string, keys: readonly string[]): Promise<Record<string, string>> {
  const { entries } = await store.getMany({ namespace, keys, tags: [], signal: never() });
  const found = keys.flatMap((key, index) => {
    const entry = entries[index];
    if (entry === undefined) return [];
    if (entry === 'unreadable') return [[key, entry] as const];
    const text = Buffer.from(entry.bytes).toString().trimEnd();
    return [[key, entry.freshUntil === 0 ? `${text} expired` : text] as const];
  });
  return Object.fromEntries(found.sort());
}

/** What SQLite finds wrong with the file, and what is wrong with our own counting; nothing, when all is well. */
function faultsOf(file: string): readonly unknown[] {
  const db = new DatabaseSync(file);
  try {
    const [integrity] = Object.values(db.prepare('pragma integrity_check').get() ?? {});
    const miscounted = db
      .prepare(
        `select id, entries, bytes, count(size) counted, total(size) summed from cache1_generation generation
         left join (select generation, size from cache1_entry) on generation = id
         group by id having counted <> entries or summed <> bytes`,
      )
      .all();
    return integrity === 'ok' ? miscounted : [integrity, ...miscounted];
  } finally {
    db.close();
  }
}

const keys = Array.from({ length: 20 }, (_, at) => `key ${at}`);

describe('processes that are killed in the middle of their writes', () => {
  it('lose nothing that was acknowledged, undo no invalidation and leave the file whole', async () => {
    const seed = 1_000;
    const random = seededRandom(seed);
    const file = newFile();
    const models = new Map<string, Model>(['a', 'b', 'c'].map((name) => [name, new Map()]));
    let [killed, done, begun] = [0, 0, 0];
    for (let round = 0; round < 16; round++) {
      const names = [...models.keys()];
      const diaryOf = (name: string): string => `${file}.${name}.diary`;
      const workers = names.map((name, at) =>
        start(['churn', file, name, String(seed + round * names.length + at), diaryOf(name)]),
      );
      await Promise.all(workers.map(({ first }) => first));
      await new Promise((resolve) => setTimeout(resolve, random() * 150));
      for (const { child } of workers) child.kill('SIGKILL');
      await Promise.all(workers.map(({ over }) => over));
      killed += workers.length;

      const store = sqliteStore({ file });
      for (const name of names) {
        let model = models.get(name) ?? new Map();
        let underWay: Operation | undefined;
        for (const line of readFileSync(diaryOf(name), 'utf8').split('\n').slice(0, -1)) {
          const said = JSON.parse(line) as { readonly begins?: Operation };
          if (said.begins) {
            underWay = said.begins;
            begun++;
          } else if (underWay) {
            model = after(model, underWay);
            underWay = undefined;
            done++;
          }
        }
        // What was under way has happened or not, as a whole.
        const either = underWay ? [model, after(model, underWay)] : [model];
        const found = await texts(store, name, keys);
        expect(either.map(textsOf), `seed ${seed}, round ${round}, namespace ${name}`).toContainEqual(found);
        models.set(name, either.find((each) => JSON.stringify(textsOf(each)) === JSON.stringify(found)) ?? model);
      }
      const { total, usedBytes, evicted, setAside } = store.stats();
      expect({ evicted, setAside }).toEqual({ evicted: 0, setAside: 0 });
      await store.clearExpired();
      expect(usedBytes).toBeGreaterThanOrEqual(total.bytes);
      await store.close();
      expect(faultsOf(file)).toEqual([]);
    }
    expect(killed).toBe(48);
    expect(begun).toBeGreaterThan(done); // some of them in the middle of something
    expect(done).toBeGreaterThan(1_000);
  });

  it('leave a file that can be used, also when they were just creating it', async () => {
    const random = seededRandom(5);
    for (let round = 0; round < 12; round++) {
      const file = newFile();
      const workers = [start(['join', file, 'a']), start(['join', file, 'b'])];
      // Until one of them has got as far as the lock: from there on it is a matter of milliseconds.
      while (!existsSync(join(folder, `.${files}.db.lock`))) await new Promise((resolve) => setTimeout(resolve, 1));
      await new Promise((resolve) => setTimeout(resolve, random() * 40));
      for (const { child } of workers) child.kill('SIGKILL');
      await Promise.all(workers.map(({ over }) => over));
      const store = sqliteStore({ file });
      expect(await write(store, 'c')).toEqual([true]);
      const found = Object.keys(await texts(store, 'shared', ['a', 'b', 'c']));
      const told = ['a', 'b'].filter((_, at) => workers[at]?.lines.includes('stored'));
      expect(found).toEqual(expect.arrayContaining([...told, 'c']));
      expect(store.stats().setAside).toBe(0);
      await store.close();
      expect(faultsOf(file)).toEqual([]);
    }
  });

  it('leave no trace of themselves: nothing beside the file but its log and its lock', async () => {
    const file = newFile();
    const child = start(['idle', file]);
    await child.first;
    child.child.kill('SIGKILL');
    await child.over;
    const store = open(file);
    await write(store, 'key');
    await store.close();
    const name = file.slice(folder.length + 1);
    expect(readdirSync(folder).filter((each) => each.includes(name))).toEqual([`.${name}.lock`, name]);
  });
});

describe('a process that was stopped', () => {
  it('in the middle of its write keeps nobody from reading, opening or going on with other things', async () => {
    const file = newFile();
    const store = open(file);
    await write(store, 'before');
    const holder = start(['hold', file]);
    await holder.first;
    holder.child.kill('SIGSTOP');

    let turns = 0;
    const count = setInterval(() => turns++, 1);
    await expect(write(store, 'refused', AbortSignal.timeout(50))).rejects.toThrow('timeout');
    const invalidated = store.invalidate({
      namespace: 'shared',
      invalidation: { type: 'clear' },
      signal: AbortSignal.timeout(50),
    });
    await expect(invalidated).rejects.toThrow('timeout');
    clearInterval(count);
    expect(turns).toBeGreaterThan(5);
    expect(await texts(store, 'shared', ['before', 'refused'])).toEqual({ before: 'before' });
    const second = open(file);
    expect(await texts(second, 'shared', ['before'])).toEqual({ before: 'before' });

    const waiting = Promise.all([write(store, 'after'), write(second, 'after, too')]);
    holder.child.kill('SIGKILL');
    expect(await waiting).toEqual([[true], [true]]);
    expect(Object.keys(await texts(store, 'shared', ['before', 'after', 'after, too']))).toHaveLength(3);
    expect(store.stats().evicted).toBe(0); // what it was writing is undone
  });

  it('with the file open holds up a new one after damage, and nobody is told anything wrong meanwhile', async () => {
    const file = newFile();
    const store = open(file);
    await write(store, 'key');
    const sleeper = start(['idle', file]);
    await sleeper.first;
    sleeper.child.kill('SIGSTOP');
    damage(file);
    expect(await texts(store, 'shared', ['key'])).toEqual({});
    await expect(write(store, 'key', AbortSignal.timeout(50))).rejects.toThrow('timeout');
    expect(existsSync(`${file}.corrupt-1`)).toBe(true);
    expect(existsSync(file)).toBe(false);

    const written = write(store, 'key');
    sleeper.child.kill('SIGKILL');
    expect(await written).toEqual([true]);
    expect(await texts(store, 'shared', ['key'])).toEqual({ key: 'key' });
    expect(store.stats().setAside).toBe(1);
    expect(warnings).toEqual([expect.stringContaining(`'${file}' is damaged`)]);
  });

  it('lets go of a damaged file once it goes on, and shares the new one', async () => {
    const file = newFile();
    const store = open(file);
    await write(store, 'key');
    const sleeper = start(['idle', file]);
    await sleeper.first;
    damage(file);
    expect(await texts(store, 'shared', ['key'])).toEqual({});
    expect(await write(store, 'key')).toEqual([true]); // within a second, when its housekeeping has seen it
    const joined = start(['join', file, 'other']);
    expect(await joined.first).toBe('stored');
    expect(Object.keys(await texts(store, 'shared', ['key', 'other']))).toEqual(['key', 'other']);
  });
});

function damage(file: string): void {
  const db = new DatabaseSync(file);
  db.exec('drop table cache1_entry');
  db.close();
}

describe('many processes that begin at once', () => {
  it('create one file, once', async () => {
    for (let round = 0; round < 3; round++) {
      const file = newFile();
      const names = Array.from({ length: 6 }, (_, at) => `${at}`);
      const workers = names.map((name) => start(['join', file, name]));
      expect(await Promise.all(workers.map(({ first }) => first))).toEqual(names.map(() => 'stored'));
      await Promise.all(workers.map(({ over }) => over));
      expect(Object.keys(await texts(open(file), 'shared', names))).toEqual(names);
      expect(readdirSync(folder).filter((name) => name.includes('corrupt') && name.startsWith(`${files}.`))).toEqual(
        [],
      );
    }
  });
});

/** Root may do anything, so for once we are nobody. */
const uid = process.getuid?.() === 0 ? 65_534 : undefined;
const asNobody = uid === undefined ? {} : { uid };

describe.skipIf(process.platform === 'win32')('a process that may not', () => {
  it('write the file is told so', async () => {
    const file = newFile();
    await open(file).close();
    chmodSync(file, 0o444);
    chmodSync(join(folder, `.${files}.db.lock`), 0o666);
    expect(await start(['join', file, 'key'], asNobody).first).toMatch(
      /^WP_BAD_OPTION: sqliteStore\(\): option 'file': '.*' may not be read and written; let this process do so\.$/,
    );
  });

  it('write to the folder is told so', async () => {
    const closed = join(folder, 'closed');
    mkdirSync(closed, { mode: 0o555 });
    expect(await start(['join', join(closed, 'a.db'), 'key'], asNobody).first).toMatch(
      /^WP_BAD_OPTION: .*a\.db\.lock' cannot be opened; let this process write to the folder\.$/,
    );
  });

  it('make files any larger gets its writes refused, and everything else done', async () => {
    const file = newFile();
    // 512 bytes a block; the signal that comes with it would end the process.
    const full = start(['fill', file], { shell: "trap '' XFSZ; ulimit -f 1000" });
    await full.over;
    expect(full.lines).toEqual([expect.stringMatching(/^refused: .+/), '10000,']);
    expect(faultsOf(file)).toEqual([]);
    expect(await write(open(file), 'key')).toEqual([true]);
    expect(statSync(file).size).toBeGreaterThan(0);
  });

  it('make files at all is told so', async () => {
    const file = newFile();
    writeFileSync(file, '');
    const none = start(['join', file, 'key'], { shell: "trap '' XFSZ; ulimit -f 0" });
    expect(await none.first).toMatch(
      /^WP_BAD_OPTION: .* cannot be opened \(.+\); check the disk and the space on it\.$/,
    );
  });
});
