import type { Dispatcher } from 'undici';
import { type Clock, Deadlines, type Due } from '../kernel/index.js';
import type { HttpErrorKind, HttpEvent, HttpPhase } from './events.js';
import { Gates } from './gates.js';
import type { PoolSettings } from './options.js';
import { Sockets } from './sockets.js';
import { createTransport } from './transport.js';

/** What has to happen at some instant. */
export interface Timed extends Due {
  onDue(): void;
}

/** Whoever has asked for a request. */
export interface Asker {
  /** Set while the request waits for a place: takes it back. */
  onLeave: ((reason: Error) => void) | undefined;
  /** The request might go once more, free of charge, if only its body were at hand. */
  onBodyGone?(): void;
}

/** What the pool itself says of a request. */
export interface WireOptions extends Dispatcher.DispatchOptions {
  asker?: Asker;
}

const kinds = [
  'refused',
  'reset',
  'timeout',
  'tls',
  'dns',
  'aborted',
  'status4xx',
  'status5xx',
  'tooLarge',
  'other',
] as const;

/** What the exchanges of one pool share: the way out and who has to wait for it, one timer, and the counts. */
export class Wire {
  readonly service: string;
  readonly clock: Clock;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly gates: Gates;
  readonly sockets: Sockets;
  readonly transport: Dispatcher;
  /** The one timer of the pool. Its items have one place. */
  readonly deadlines: Deadlines<Timed>;
  readonly onEvent: ((event: HttpEvent) => void) | undefined;
  readonly errors: Record<HttpErrorKind, number> = Object.fromEntries(kinds.map((kind) => [kind, 0])) as Record<
    HttpErrorKind,
    number
  >;
  /** Calls of the pool that have not settled. */
  #calls = 0;
  #onIdle: (() => void) | undefined;
  inFlight = 0;
  /** Of those in flight, the ones that have a socket. */
  running = 0;
  ok = 0;
  redialled = 0;

  constructor(settings: PoolSettings) {
    this.service = settings.name;
    this.clock = settings.clock;
    this.headersTimeoutMs = settings.headersTimeoutMs;
    this.bodyTimeoutMs = settings.bodyTimeoutMs;
    this.onEvent = settings.onEvent;
    this.gates = new Gates(settings.connections);
    this.sockets = new Sockets(settings.clock, settings.maxIdle);
    this.transport = createTransport(settings, this.sockets);
    this.deadlines = new Deadlines<Timed>(settings.clock, (item) => item.onDue(), 0);
  }

  /** The outcome of a call of the pool, which counts as under way until then: between two redirects nothing is in flight. */
  async under<T>(call: () => Promise<T>): Promise<T> {
    this.#calls++;
    try {
      return await call();
    } finally {
      this.#calls--;
      this.#checkIdle();
    }
  }

  /** One that was in flight is over. */
  countEnd(): void {
    this.inFlight--;
    this.#checkIdle();
  }

  /** Resolves when nothing is under way any more, at the latest after `limitMs`. */
  drained(limitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.clock.schedule(limitMs, resolve);
      this.#onIdle = () => {
        timer.cancel();
        resolve();
      };
      this.#checkIdle();
    });
  }

  #checkIdle(): void {
    if (this.#calls === 0 && this.inFlight === 0) this.#onIdle?.();
  }

  countFailure(kind: HttpErrorKind, phase: HttpPhase, beganAt: number): void {
    this.errors[kind]++;
    if (!this.onEvent) return;
    this.onEvent({ type: 'http.failed', service: this.service, kind, phase, ms: this.clock.now() - beganAt });
  }

  countRedial(): void {
    this.redialled++;
    this.onEvent?.({ type: 'http.redialled', service: this.service });
  }
}
