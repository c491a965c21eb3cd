/** What we use of a Keyv instance: Keyv 5 and 6 have it, and so has anything shaped like them. */
export interface KeyvLike {
  get(key: string): Promise<unknown>;
  getMany?(keys: string[]): Promise<unknown>;
  set(key: string, value: string, ttlMs?: number): Promise<unknown>;
  setMany?(entries: KeyvText[]): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  deleteMany?(keys: string[]): Promise<unknown>;
  on?(event: 'error', listener: (error: unknown) => void): unknown;
}

/** One text on its way to a Keyv. */
export interface KeyvText {
  readonly key: string;
  readonly value: string;
  readonly ttl: number;
}

/** Stands for a value that is there and that the Keyv itself cannot read. */
export const damaged: unique symbol = Symbol('damaged');

/**
 * A Keyv whose failures reject. By default both versions swallow what their adapter throws and answer as if nothing was
 * there, and the Redis adapter answers a write that failed as if it were done: all that tells is an 'error' event. So a write
 * during which one was heard has failed, and so has a read that found nothing, be it their own error or that of a call
 * beside them.
 */
export class KeyvCalls {
  readonly #keyv: KeyvLike;
  readonly #name: string;
  #errors = 0;
  #lastError: unknown;

  constructor(keyv: KeyvLike, name: string) {
    this.#keyv = keyv;
    this.#name = name;
    // Unheard, the error of an adapter that loses its connection would end the process.
    keyv.on?.('error', (error) => {
      this.#errors++;
      this.#lastError = error;
    });
  }

  /** One value for each key, in their order, `damaged` for what the Keyv cannot read; one round trip where it can. */
  async getMany(keys: readonly string[]): Promise<readonly unknown[]> {
    if (keys.length === 0) return [];
    try {
      return await this.#find(keys);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
    }
    const values: unknown[] = [];
    for (const key of keys) values.push(await this.#findAlone(key));
    return values;
  }

  /** @throws when one of them may not have been written */
  async setMany(texts: readonly KeyvText[]): Promise<void> {
    const [first] = texts;
    if (!first) return;
    const answer = await this.#write('setMany', () => {
      if (texts.length === 1) return this.#keyv.set(first.key, first.value, first.ttl);
      if (this.#keyv.setMany) return this.#keyv.setMany([...texts]);
      return Promise.all(texts.map(({ key, value, ttl }) => this.#keyv.set(key, value, ttl)));
    });
    if (saysNo(answer)) throw this.#failure('setMany', new Error('the Keyv answered false'));
  }

  /** @throws when one of them may still be there */
  async deleteMany(keys: readonly string[]): Promise<void> {
    const [first] = keys;
    if (first === undefined) return;
    const answer = await this.#write('deleteMany', () => {
      if (keys.length === 1) return this.#keyv.delete(first);
      if (this.#keyv.deleteMany) return this.#keyv.deleteMany([...keys]);
      return Promise.all(keys.map((key) => this.#keyv.delete(key)));
    });
    if (!saysNo(answer)) return;
    // No is the answer for a key that was not there, too.
    const left = await this.getMany(keys);
    if (left.every(isMissing)) return;
    throw this.#failure('deleteMany', new Error('the Keyv answered false, and the value is still there'));
  }

  async #find(keys: readonly string[]): Promise<readonly unknown[]> {
    const before = this.#errors;
    const { getMany } = this.#keyv;
    const values = await (getMany ? getMany.call(this.#keyv, [...keys]) : this.#findEach(keys));
    if (!Array.isArray(values)) throw this.#failure('getMany', new TypeError('the answer is not a list'));
    if (this.#errors === before) return values;
    if (isUnreadable(this.#lastError)) throw this.#lastError;
    if (values.every(isMissing)) throw this.#failure('getMany', this.#lastError);
    return values;
  }

  #findEach(keys: readonly string[]): Promise<unknown[]> {
    return Promise.all(keys.map((key) => this.#keyv.get(key)));
  }

  async #findAlone(key: string): Promise<unknown> {
    try {
      return (await this.#find([key]))[0];
    } catch (error) {
      if (isUnreadable(error)) return damaged;
      throw error;
    }
  }

  async #write(operation: string, call: () => Promise<unknown>): Promise<unknown> {
    const before = this.#errors;
    const answer = await call();
    if (this.#errors === before) return answer;
    throw this.#failure(operation, this.#lastError);
  }

  #failure(operation: string, cause: unknown): Error {
    const reason = cause instanceof Error ? cause.message : String(cause);
    return new Error(`Store '${this.#name}' failed (${operation}): ${reason}`, { cause });
  }
}

/** What a Keyv's own JSON makes of text that is none: not a failure of the store, but of one value in it. */
function isUnreadable(error: unknown): boolean {
  return error instanceof Error && error.name === 'SyntaxError';
}

function saysNo(answer: unknown): boolean {
  return answer === false || (Array.isArray(answer) && answer.includes(false));
}

function isMissing(value: unknown): boolean {
  return value === undefined || value === null;
}
