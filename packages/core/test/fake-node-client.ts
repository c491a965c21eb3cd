import type { NodeClient } from '../src/redis/connection/node-client.js';

/** A client whose server does as the test says. */
export class FakeNodeClient implements NodeClient {
  isOpen = false;
  /** The first word of each command. */
  readonly sent: string[] = [];
  readonly channels = new Map<string, (text: string) => void>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #answers: ((value: unknown) => void)[] = [];
  #onError: (error: unknown) => void = () => {};

  connect(): Promise<void> {
    this.isOpen = true;
    return this.#ready.promise;
  }

  arrive(): void {
    this.#ready.resolve();
  }

  refuse(): void {
    this.isOpen = false;
    this.#ready.reject(new Error('ECONNREFUSED'));
  }

  /** The connection breaks. */
  break(): void {
    this.isOpen = false;
    const error = new Error('ECONNRESET');
    this.#onError(error);
    for (const answer of this.#answers.splice(0)) answer(error);
  }

  /** Answers the oldest command that has no answer yet: with an error, or with what is given. */
  answer(value?: unknown): void {
    this.#answers.shift()?.(value);
  }

  destroy(): void {
    this.isOpen = false;
    for (const answer of this.#answers.splice(0)) answer(new Error('destroyed'));
  }

  sendCommand([word = '']: readonly (string | Buffer)[]): Promise<unknown> {
    this.sent.push(String(word));
    return new Promise((resolve, reject) => {
      this.#answers.push((value) => (value instanceof Error ? reject(value) : resolve(value ?? `${word} done`)));
    });
  }

  async subscribe(channel: string, listener: (text: string) => void): Promise<void> {
    await this.sendCommand([`subscribe ${channel}`]);
    this.channels.set(channel, listener);
  }

  async unsubscribe(channel: string): Promise<void> {
    this.channels.delete(channel);
  }

  on(_: 'error', listener: (error: unknown) => void): void {
    this.#onError = listener;
  }
}
