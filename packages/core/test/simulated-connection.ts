import { AsyncLocalStorage } from 'node:async_hooks';
import { between, type LinkOptions, SimulatedLink } from './simulated-link.js';
import type { SimulatedServer } from './simulated-server.js';

type Prepare = (runId: string) => Promise<void>;

/** Set in what a preparation calls: that does not wait for it. */
const preparing = new AsyncLocalStorage<true>();
const prepareWithinMs = 5_000;

/** The way of one process to one server: one link at a time, made anew whenever it is lost. */
export class SimulatedConnection {
  readonly #options: LinkOptions;
  readonly #server: SimulatedServer;
  #link: SimulatedLink;
  /** For which run of the server each was done. */
  readonly #prepared = new Map<Prepare, string>();
  /** The run for which all of them were. */
  #preparedRunId: string | undefined;
  #preparing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: LinkOptions, server: SimulatedServer) {
    this.#options = options;
    this.#server = server;
    this.#link = this.#connect();
    server.onDown(() => this.cut());
  }

  onServer(prepare: Prepare): void {
    this.#prepared.set(prepare, '');
    this.#preparedRunId = undefined;
  }

  /** @param execute what the server does: it answers, or throws what it answers instead */
  async call<T>(execute: () => T, signal: AbortSignal): Promise<T> {
    while (this.#isUnprepared()) {
      await this.#allPrepared();
      signal.throwIfAborted();
    }
    return this.#link.call(execute, signal);
  }

  cut(): void {
    this.#link.cut();
  }

  close(): void {
    this.#isClosed = true;
    this.#link.cut();
  }

  #isUnprepared(): boolean {
    if (this.#preparedRunId === this.#server.runId || !this.#link.isUp) return false;
    return preparing.getStore() === undefined;
  }

  #allPrepared(): Promise<void> {
    this.#preparing ??= this.#prepareAll().finally(() => {
      this.#preparing = undefined;
    });
    return this.#preparing;
  }

  async #prepareAll(): Promise<void> {
    const link = this.#link;
    const { runId } = this.#server;
    const { promise: gaveUp, reject } = Promise.withResolvers<never>();
    const timer = this.#options.clock.schedule(prepareWithinMs, () =>
      reject(new Error('The preparation took too long.')),
    );
    const due = Array.from(this.#prepared).filter(([, done]) => done !== runId);
    const prepareOne = async (prepare: Prepare): Promise<void> => {
      await preparing.run(true, () => prepare(runId));
      if (link.isUp) this.#prepared.set(prepare, runId);
    };
    try {
      await Promise.race([gaveUp, Promise.all(due.map(([prepare]) => prepareOne(prepare)))]);
      const isDone = Array.from(this.#prepared.values()).every((done) => done === runId);
      if (link.isUp && isDone) this.#preparedRunId = runId;
    } catch (error) {
      link.cut(); // as a client does whose greeting fails
      throw error;
    } finally {
      timer.cancel();
    }
  }

  #connect(): SimulatedLink {
    const { runId } = this.#server;
    const receive = (run: () => void): void => {
      if (runId === this.#server.runId) this.#server.receive(run);
    };
    return new SimulatedLink(this.#options, receive, () => this.#reconnect());
  }

  #reconnect(): void {
    const { clock, random, faults } = this.#options;
    clock.schedule(between(random, faults().reconnectMs), () => {
      if (this.#isClosed) return;
      if (this.#server.isAnswering) this.#link = this.#connect();
      else this.#reconnect();
    });
  }
}
