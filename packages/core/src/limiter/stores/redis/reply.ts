import type { RedisValue } from '../../../kernel/index.js';
import type { StoreVerdict } from '../../store.js';

/** What the script has said of some accounts: it is read from front to back. */
export class Reply {
  /** The server's time. */
  readonly wall: number;
  /** Not so: a period that was named is not the present one, and nothing has happened. */
  readonly isDecided: boolean;
  readonly #bytes: Buffer;
  #position = 0;
  #generation = '';
  #at = 0;

  constructor(value: RedisValue) {
    if (!Buffer.isBuffer(value)) throw new TypeError(`Redis has answered with ${typeof value} instead of bytes.`);
    this.#bytes = value;
    this.isDecided = this.flag();
    this.wall = this.#number();
  }

  /** What follows is of the next one. */
  account(): void {
    this.#at = this.#number();
    this.#generation = this.#bytes.toString('latin1', this.#position, this.#position + 8);
    this.#position += 8;
  }

  flag(): boolean {
    return this.#byte() === 1;
  }

  /** @param count how many dimensions there are */
  verdict(count: number): StoreVerdict {
    const ok = this.flag();
    const binding = this.#byte();
    const remaining = new Array<number>(count);
    const resetMs = new Array<number>(count);
    const waitsMs = new Array<number>(count).fill(0);
    for (let index = 0; index < count; index++) {
      remaining[index] = this.#number();
      resetMs[index] = this.#number();
    }
    if (!ok) for (let index = 0; index < count; index++) waitsMs[index] = this.#number();
    const waitMs = waitsMs[binding] ?? 0;
    return { ok, binding, waitMs, remaining, resetMs, waitsMs, generation: this.#generation, at: this.#at };
  }

  #byte(): number {
    return this.#bytes.readUInt8(this.#position++);
  }

  #number(): number {
    const number = this.#bytes.readDoubleLE(this.#position);
    this.#position += 8;
    return number;
  }
}
