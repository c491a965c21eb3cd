import type { RedisValue } from '../../../kernel/index.js';
import type { Amounts } from '../../dimensions.js';
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

  /**
   * Of several that were asked for together: where all of them were granted there is one verdict, that of the last, and
   * before it so much more was left.
   */
  verdicts(first: Amounts, more: readonly Amounts[]): StoreVerdict {
    if (more.length === 0) return this.verdict(first.length);
    if (!this.flag()) {
      const verdict = this.verdict(first.length);
      return { ...verdict, more: more.map(() => this.verdict(first.length)) };
    }
    const last = this.verdict(first.length);
    const all = new Array<StoreVerdict>(more.length);
    let { remaining } = last;
    for (let turn = more.length - 1; turn >= 0; turn--) {
      all[turn] = { ...last, remaining };
      remaining = sum(remaining, more[turn] as Amounts);
    }
    return { ...last, remaining, more: all };
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

function sum(one: Amounts, other: Amounts): Amounts {
  const both = new Array<number>(one.length);
  for (let index = 0; index < both.length; index++) both[index] = (one[index] as number) + (other[index] as number);
  return both;
}
