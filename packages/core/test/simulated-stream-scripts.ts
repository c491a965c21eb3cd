import type { RedisValue } from '../src/kernel/index.js';
import type { Keyspace } from './simulated-keyspace.js';
import type { ScriptCall } from './simulated-scripts.js';

/** A piece as the simulation keeps it, a whole log as JSON. */
type Piece = readonly [chunks: number, last: number, bytes: string];

/** What `stream-scripts.ts` says in Lua, by its names. `test/simulated-streams.test.ts` holds the two against each other. */
export const simulatedStreamScripts: Readonly<Record<string, (call: ScriptCall) => RedisValue>> = {
  holder: ({ keys: [key = ''], keyspace }) => {
    const lease = /^[^:]*:\d+:[01]:(.*)$/s.exec(keyspace.get(key)?.toString('latin1') ?? '');
    return lease ? Buffer.from(lease[1] ?? '', 'latin1') : null;
  },

  append: ({ keys: [log = '', followed = ''], args, keyspace, publish }) => {
    const pieces = piecesIn(keyspace, log) ?? [];
    const [from, keepMs, channel = '', key = ''] = args.slice(0, 4).map(String);
    if (!keyspace.get(followed)) return [0, lengthOf(pieces)];
    if (Number(from) > lengthOf(pieces)) return [1, lengthOf(pieces)];
    const added = [...pieces];
    for (let at = 4; at < args.length; at += 3) {
      const [chunks, last, bytes = ''] = args.slice(at, at + 3);
      const isNew = Number(chunks) > lengthOf(added) || (last === '1' && Number(chunks) === lengthOf(added));
      if (isNew && !isOver(added)) added.push([Number(chunks), Number(last), Buffer.from(bytes).toString('base64')]);
    }
    if (added.length > 0) keyspace.set(log, Buffer.from(JSON.stringify(added)), Number(keepMs));
    else keyspace.remove(log);
    if (added.length > pieces.length) publish(channel, `s ${key}`);
    return [1, lengthOf(added)];
  },

  follow: ({ keys: [log = '', followed = ''], args, keyspace, publish }) => {
    const pieces = piecesIn(keyspace, log) ?? [];
    const [from, most, keepMs, channel = '', key = ''] = args.map(String);
    const isNews = !keyspace.get(followed);
    keyspace.set(followed, Buffer.from('1'), Number(keepMs));
    if (isOver(pieces)) keyspace.expireIn(log, Number(keepMs));
    else if (isNews) publish(channel, `s ${key}`);
    const wanted = pieces.filter(([chunks, last]) => chunks > Number(from) || (chunks === Number(from) && last === 1));
    const some = wanted.slice(0, Number(most));
    return [
      pieces.length > 0 ? 1 : 0,
      ...some.flatMap(([chunks, last, bytes]) => [chunks, last, Buffer.from(bytes, 'base64')]),
    ];
  },
};

/** @returns undefined for what is something else */
function piecesIn(keyspace: Keyspace, log: string): readonly Piece[] | undefined {
  const text = keyspace.get(log)?.toString() ?? '';
  return text.startsWith('[') ? (JSON.parse(text) as readonly Piece[]) : undefined;
}

function lengthOf(pieces: readonly Piece[]): number {
  return pieces.at(-1)?.[0] ?? 0;
}

function isOver(pieces: readonly Piece[]): boolean {
  return pieces.at(-1)?.[1] === 1;
}
