import type { RedisValue } from '../../../kernel/index.js';
import type {
  StoreStreamAppend,
  StoreStreamPieces,
  StoreStreamPlace,
  StoreStreamRead,
  StoreStreamState,
  StreamPiece,
} from '../../store.js';
import type { RedisSpace } from './redis-space.js';
import { appendScript, followScript, holderScript } from './stream-scripts.js';

/** The streams of one namespace that processes share. Every call is one round trip. */
export class StreamLog {
  readonly #space: RedisSpace;
  readonly #ttlMs: number;

  /** @param ttlMs that of a lease */
  constructor(space: RedisSpace, ttlMs: number) {
    this.#space = space;
    this.#ttlMs = ttlMs;
  }

  async holder({ key, signal }: StoreStreamPlace): Promise<string | undefined> {
    const { port, keys } = this.#space;
    const token = await port.run(holderScript, [keys.lease(key)], [], signal);
    return Buffer.isBuffer(token) ? token.toString() : undefined;
  }

  async append({ key, run, from, pieces, signal }: StoreStreamAppend): Promise<StoreStreamState> {
    const { port, keys } = this.#space;
    const args = pieces.flatMap(({ end, isLast, bytes }) => [`${end}`, isLast ? '1' : '0', bufferOf(bytes)]);
    const answer = await port.run(
      appendScript,
      this.#names(key, run),
      [`${from}`, `${this.#ttlMs}`, keys.channel, key, ...args],
      signal,
    );
    const [isFollowed, length] = listOf(answer);
    if (typeof length !== 'number') throw new TypeError('A script of the Redis store has answered without a length.');
    return { isFollowed: isFollowed === 1, length };
  }

  async read({ key, run, from, mostPieces, signal }: StoreStreamRead): Promise<StoreStreamPieces> {
    const { port, keys } = this.#space;
    const args = [`${from}`, `${mostPieces}`, `${this.#ttlMs}`, keys.channel, key];
    const [isThere, ...rest] = listOf(await port.run(followScript, this.#names(key, run), args, signal));
    const pieces: StreamPiece[] = [];
    for (let at = 0; at < rest.length; at += 3) {
      const [end, last, bytes] = rest.slice(at, at + 3);
      if (typeof end !== 'number' || !Buffer.isBuffer(bytes)) {
        throw new TypeError('A script of the Redis store has answered with something else than pieces.');
      }
      pieces.push({ end, isLast: last === 1, bytes });
    }
    return { isThere: isThere === 1, pieces };
  }

  #names(key: string, run: string): string[] {
    const { keys } = this.#space;
    return [keys.log(key, run), keys.followed(key, run)];
  }
}

function listOf(answer: RedisValue): readonly RedisValue[] {
  return Array.isArray(answer) ? answer : [];
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
