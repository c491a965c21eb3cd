import { formatVersions, parseVersions, type Versions } from '../src/cache/stores/redis/versions.js';
import type { RedisValue } from '../src/kernel/index.js';
import type { Keyspace } from './simulated-keyspace.js';

/** One call of a script, on the server. */
export interface ScriptCall {
  readonly keys: readonly string[];
  readonly args: readonly (string | Buffer)[];
  readonly keyspace: Keyspace;
  readonly runId: string;
  publish(channel: string, text: string): void;
}

/** What `scripts.ts` says in Lua, by its names. `test/simulated-redis.test.ts` holds the two against each other. */
export const simulatedScripts: Readonly<Record<string, (call: ScriptCall) => RedisValue>> = {
  open: ({ keys: [key = ''], args, keyspace }) => {
    const { text, versions } = readVersions(keyspace, key, textOf(args[0]));
    return text ?? writeVersions(keyspace, key, versions);
  },

  restart: ({ keys: [key = ''], args, keyspace, runId: run }) => {
    const { text, versions } = readVersions(keyspace, key, textOf(args[0]));
    if (text && versions.run === run) return [text, 0];
    const seq = text ? Math.max(versions.seq + 1_000_000, Math.floor(keyspace.now() * 1_000)) : versions.seq;
    return [writeVersions(keyspace, key, { ...versions, seq, run }), 1];
  },

  markTags: ({ keys: [key = '', ...tags], args, keyspace }) => {
    const { text, versions } = readVersions(keyspace, key, textOf(args[0]));
    const keepMs = msOf(args[1]);
    const seq = Buffer.from(String(versions.seq));
    const first = text ?? writeVersions(keyspace, key, versions);
    const marks = tags.map((tag) => {
      const mark = keyspace.get(tag);
      if (mark && /^\d+$/.test(mark.toString('latin1')) && Number(mark.toString('latin1')) <= versions.seq) {
        keyspace.expireIn(tag, keepMs, { onlyIfLater: true });
        return mark;
      }
      keyspace.set(tag, seq, keepMs);
      return seq;
    });
    return [first, ...marks];
  },

  bump: ({ keys: [key = '', ...tags], args, keyspace, publish }) => {
    const [epoch, channel, publisher, type, names] = args.map(textOf);
    const { versions } = readVersions(keyspace, key, epoch);
    const seq = versions.seq + 1;
    const next = { ...versions, seq, ...(type === 'clear' && { clear: seq }), ...(type === 'tags' && { tagged: seq }) };
    const text = writeVersions(keyspace, key, next);
    for (const tag of tags) keyspace.set(tag, Buffer.from(String(seq)), Math.max(keyspace.ttlMs(tag), msOf(args[5])));
    publish(channel ?? '', `${seq} ${versions.epoch} ${publisher} ${type} ${names}`);
    return text;
  },

  lease: ({ keys, args, keyspace }) => {
    const [token = '', epoch = '', seq] = args.slice(0, 3).map(bytesOf);
    return groups(keys, 3).map(([entry = '', generation = '', key = ''], index) => {
      const [known, ruling, offered = ''] = args.slice(5 + 3 * index, 8 + 3 * index).map(bytesOf);
      const { present = offered, state } = readGeneration(keyspace, entry, generation);
      if (state === 'present' && present !== known) return [2, keyspace.get(entry) ?? null];
      keyspace.set(generation, latin(present), msOf(args[4]));
      const lease = readLease(keyspace, key);
      if (lease && lease.token !== token && lease.epoch === epoch && lease.seq >= Number(ruling)) {
        if (lease.waited === '0') writeLease(keyspace, key, { ...lease, waited: '1' }, 'keep');
        return [1, latin(present)];
      }
      const mine = { epoch, seq: Number(seq), waited: lease?.waited ?? '0', token };
      writeLease(keyspace, key, mine, msOf(args[3]));
      return [0, latin(present)];
    });
  },

  claim: ({ keys, args, keyspace }) => {
    for (const [index, [entry = '', generation = '', lease = '']] of groups(keys, 3).entries()) {
      keyspace.remove(entry);
      keyspace.remove(lease);
      keyspace.set(generation, Buffer.from(args[index + 1] ?? ''), msOf(args[0]));
    }
    return keys.length / 3;
  },

  commit: ({ keys, args, keyspace }) =>
    groups(keys, 2).map(([entry = '', generation = ''], index) => {
      const [wanted, keepMs, record = ''] = args.slice(3 * index, 3 * index + 3);
      if (readGeneration(keyspace, entry, generation).present !== bytesOf(wanted)) return 0;
      keyspace.set(entry, Buffer.from(record), msOf(keepMs));
      keyspace.remove(generation);
      return 1;
    }),

  forget: ({ keys, keyspace }) => keys.filter((key) => keyspace.remove(key)).length,

  expire: ({ keys, args, keyspace }) => {
    let count = 0;
    for (const [index, [entry = '', generation = '', lease = '']] of groups(keys, 3).entries()) {
      if (readGeneration(keyspace, entry, generation).state !== 'none') {
        keyspace.setRange(entry, 4, Buffer.from([1]));
        keyspace.setRange(entry, 8, Buffer.from(args[index] ?? ''));
        count++;
      }
      keyspace.remove(generation);
      keyspace.remove(lease);
    }
    return count;
  },

  renew: ({ keys, args, keyspace }) =>
    groups(keys, 2).map(([lease = '', generation = '']) => {
      if (readLease(keyspace, lease)?.token !== bytesOf(args[0])) return 0;
      keyspace.expireIn(lease, msOf(args[1]));
      keyspace.expireIn(generation, msOf(args[2]));
      return 1;
    }),

  release: ({ keys, args, keyspace, publish }) =>
    keys.map((key, index) => {
      const lease = readLease(keyspace, key);
      if (lease?.token !== bytesOf(args[0])) return 0;
      keyspace.remove(key);
      if (lease.waited === '1') publish(textOf(args[1]), `r ${textOf(args[index + 2])}`);
      return 1;
    }),
};

interface Lease {
  readonly epoch: string;
  readonly seq: number;
  readonly waited: string;
  readonly token: string;
}

function readVersions(keyspace: Keyspace, key: string, epoch = ''): { text?: Buffer; versions: Versions } {
  const text = keyspace.get(key);
  const versions = parseVersions(text);
  if (text && versions) return { text, versions };
  return { versions: { epoch, seq: 1, clear: 0, tagged: 0, run: '' } };
}

function writeVersions(keyspace: Keyspace, key: string, versions: Versions): Buffer {
  const text = Buffer.from(formatVersions(versions));
  keyspace.set(key, text);
  return text;
}

/** Bytes are compared as Latin-1, one character each. */
function readGeneration(
  keyspace: Keyspace,
  entry: string,
  generation: string,
): { present: string | undefined; state: 'none' | 'expired' | 'present' } {
  const head = keyspace.get(entry)?.subarray(0, 16).toString('latin1') ?? '';
  if (head.length < 16 || !head.startsWith('WPR1')) {
    return { present: keyspace.get(generation)?.toString('latin1'), state: 'none' };
  }
  return { present: head.slice(8), state: head.charCodeAt(4) % 2 === 1 ? 'expired' : 'present' };
}

function readLease(keyspace: Keyspace, key: string): Lease | undefined {
  const match = /^([^:]*):(\d+):([01]):(.*)$/s.exec(keyspace.get(key)?.toString('latin1') ?? '');
  if (!match) return undefined;
  const [, epoch = '', seq, waited = '', token = ''] = match;
  return { epoch, seq: Number(seq), waited, token };
}

function writeLease(keyspace: Keyspace, key: string, lease: Lease, ttlMs: number | 'keep'): void {
  keyspace.set(key, latin(`${lease.epoch}:${lease.seq}:${lease.waited}:${lease.token}`), ttlMs);
}

function groups(keys: readonly string[], size: number): string[][] {
  return Array.from({ length: keys.length / size }, (_, index) => keys.slice(index * size, (index + 1) * size));
}

function textOf(arg: string | Buffer = ''): string {
  return typeof arg === 'string' ? arg.toWellFormed() : arg.toString();
}

function bytesOf(arg: string | Buffer = ''): string {
  return Buffer.from(arg).toString('latin1');
}

function latin(bytes: string): Buffer {
  return Buffer.from(bytes, 'latin1');
}

/** Redis refuses a TTL that is none. */
function msOf(arg: string | Buffer = ''): number {
  const text = textOf(arg);
  if (!/^[1-9]\d{0,14}$/.test(text)) throw new Error(`ERR value is not an integer or out of range: '${text}'`);
  return Number(text);
}
