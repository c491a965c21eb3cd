/** What a script is asked, as bytes that it reads from front to back. Numbers are doubles, little-endian. */
export class Ask {
  #bytes: Buffer = scratch;
  #length = 0;

  byte(value: number | boolean): void {
    this.#grow(1);
    this.#length = this.#bytes.writeUInt8(Number(value), this.#length);
  }

  number(value: number): void {
    this.#grow(8);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  numbers(values: readonly number[]): void {
    for (const value of values) this.number(value);
  }

  /** 8 characters, each a byte. */
  mark(text: string): void {
    this.#grow(8);
    this.#length += this.#bytes.write(text.padEnd(8), this.#length, 8, 'latin1');
  }

  /** At most 64 KiB; with its length before it. */
  text(text: string): void {
    const size = Buffer.byteLength(text);
    this.#grow(size + 2);
    this.#length = this.#bytes.writeUInt16LE(size, this.#length);
    this.#length += this.#bytes.write(text, this.#length);
  }

  /** All of it; nothing may be added afterwards. */
  end(): Buffer {
    return Buffer.from(this.#bytes.subarray(0, this.#length));
  }

  #grow(by: number): void {
    if (this.#length + by <= this.#bytes.length) return;
    this.#bytes = Buffer.concat([this.#bytes], this.#bytes.length * 2 + by);
  }
}

/** Where they are written: one is finished before the next one is begun. */
const scratch = Buffer.allocUnsafe(16_384);
