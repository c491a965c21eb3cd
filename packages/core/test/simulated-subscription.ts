import type { RedisSubscriber } from '../src/kernel/index.js';
import { between, type LinkOptions } from './simulated-link.js';
import type { SimulatedServer } from './simulated-server.js';

/** What one process hears on one channel, over a connection of its own that is made anew whenever it is lost. */
export class SimulatedSubscription {
  readonly #options: LinkOptions;
  readonly #server: SimulatedServer;
  readonly #channel: string;
  readonly #subscriber: RedisSubscriber;
  #leave: (() => void) | undefined;
  #heardAt = 0;
  #isClosed = false;

  constructor(options: LinkOptions, server: SimulatedServer, channel: string, subscriber: RedisSubscriber) {
    this.#options = options;
    this.#server = server;
    this.#channel = channel;
    this.#subscriber = subscriber;
    this.#connectIn([0, 0]);
  }

  /** From now on the server says nothing to it; what is on its way is lost. The process learns of it in a while. */
  cut(): void {
    if (!this.#leave) return;
    this.#leave();
    this.#leave = undefined;
    const { clock, random, faults } = this.#options;
    clock.schedule(between(random, faults().unawareMs), () => {
      if (this.#isClosed) return;
      this.#subscriber.onLost();
      this.#connectIn(faults().reconnectMs);
    });
  }

  close(): void {
    this.#isClosed = true;
    this.#leave?.();
  }

  #connectIn(delayMs: readonly [number, number]): void {
    const { clock, random, faults } = this.#options;
    clock.schedule(between(random, delayMs), () => {
      if (this.#isClosed) return;
      if (this.#server.isAnswering) this.#connect();
      else this.#connectIn(faults().reconnectMs);
    });
  }

  #connect(): void {
    let isOver = false;
    const deliver = (run: () => void): void => {
      this.#options.clock.schedule(this.#hearIn(), () => {
        if (!isOver) run();
      });
    };
    const leave = this.#server.subscribe(this.#channel, (text) => this.#send(text, deliver));
    const onDown = this.#server.onDown(() => this.cut());
    this.#leave = () => {
      isOver = true;
      leave();
      onDown();
    };
    deliver(() => this.#subscriber.onSubscribed());
  }

  #send(text: string, deliver: (run: () => void) => void): void {
    const { clock, random, faults } = this.#options;
    const { loses, delays, duplicates, lateMs } = faults();
    const later = (): void => {
      clock.schedule(between(random, lateMs), () => {
        if (!this.#isClosed) this.#subscriber.onMessage(text);
      });
    };
    const chance = random();
    if (chance < loses) return;
    const isLate = chance - loses < delays;
    if (!isLate) deliver(() => this.#subscriber.onMessage(text));
    if (isLate || chance - loses - delays < duplicates) later();
  }

  #hearIn(): number {
    const { clock, random, faults } = this.#options;
    this.#heardAt = Math.max(this.#heardAt, clock.now() + between(random, faults().delayMs));
    return this.#heardAt - clock.now();
  }
}
