import type { Clock, RedisPort, Timer } from '../../../kernel/index.js';
import type { Invalidation } from '../../store.js';
import { type BusMessage, parseBusMessage } from './bus-message.js';
import type { RedisKeys } from './redis-keys.js';
import { parseVersions, type Versions } from './versions.js';

/** What a read of the versions says of the history of their namespace. */
export type BusVersions = Pick<Versions, 'epoch' | 'seq' | 'run'>;

export interface RedisBusOptions {
  readonly port: RedisPort;
  readonly clock: Clock;
  /** Who tells the invalidations of this store object. */
  readonly publisher: string;
  readonly keys: Pick<RedisKeys, 'channel' | 'versions'>;
  /** Called with all that others have invalidated. */
  readonly onHeard: (invalidation: Invalidation) => void;
}

/** One who is told what happens. */
export interface BusListener {
  tell(news: Invalidation | 'gap'): void;
  /** A key may be worth another look; all of them where none is named. */
  wake(keys?: readonly string[]): void;
}

const probeIntervalMs = 1_000;
/** A message and an answer come on two connections: either may be the first by so much. */
const messageDelayMs = 100;

/** All invalidations up to `seq` have been told to the listeners, or happened before a gap that they were told of. */
interface Position {
  readonly epoch: string;
  readonly run: string;
  seq: number;
}

/** What was known when a read of the versions was sent. */
interface Asked {
  readonly at: number;
  readonly subscription: number;
  readonly position: Position | undefined;
  readonly seq: number;
}

/**
 * The invalidations of one namespace as this process hears of them. They are numbered by the server, one sequence for all
 * publishers, so each message that is missing shows: at the next message, or at the next read of the versions, of which there
 * is one a second at least. Nothing is assumed of the connection: a message that is lost without a word is noticed as well.
 */
export class RedisBus {
  readonly #options: RedisBusOptions;
  readonly #listeners = new Set<BusListener>();
  readonly #unsubscribe: () => void;
  #position: Position | undefined;
  /** All that was acknowledged before then has been told, or a gap after it. */
  #knownAt: number;
  #subscription = 0;
  /** What a read has shown and no message has said yet. */
  #awaited: { readonly seq: number; readonly askedAt: number; readonly timer: Timer } | undefined;
  readonly #closing = new AbortController();
  #probeTimer: Timer | undefined;
  #ticks = 0;
  /** Probes that were sent since the last answer to one. */
  #unanswered = 0;
  /** Several at once: then nobody can say which of them has told what comes from this store object. */
  #isShared = false;

  constructor(options: RedisBusOptions) {
    this.#options = options;
    this.#knownAt = options.clock.now();
    this.#unsubscribe = options.port.subscribe(options.keys.channel, {
      onMessage: (text) => this.#onMessage(text),
      onSubscribed: () => this.#onSubscribed(),
      onLost: () => {}, // what is missed shows in the numbers
    });
    this.#probeLater();
  }

  /** For how long it has not been known that everything was heard. */
  get silentMs(): number {
    return this.#options.clock.now() - this.#knownAt;
  }

  /** @returns how to end it; the bus ends with its last listener */
  add(listener: BusListener): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size > 1) this.#isShared = true;
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#close();
    };
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted;
  }

  /** To be called when a read of the versions is sent. @returns what is to be told the versions that it gave */
  asking(): (versions: BusVersions) => void {
    const position = this.#position;
    const at = this.#options.clock.now();
    const asked: Asked = { at, subscription: this.#subscription, position, seq: position?.seq ?? 0 };
    return (versions) => this.#onVersions(asked, versions);
  }

  #onVersions(asked: Asked, { epoch, run, seq }: BusVersions): void {
    if (this.isClosed) return;
    const position = this.#position;
    if (!position) {
      if (asked.subscription === this.#subscription) this.#beginAnew({ epoch, run, seq }, asked.at);
      return;
    }
    const isOther = epoch !== position.epoch || run !== position.run;
    const isBack = asked.position === position && seq < asked.seq;
    if (isOther || isBack) this.#beginAnew({ epoch, run, seq }, asked.at);
    else if (seq > position.seq) this.#await(seq, asked.at);
    else this.#known(asked.at);
  }

  #onMessage(text: string): void {
    if (this.isClosed) return;
    const message = parseBusMessage(text);
    if (message?.type === 'changed') this.#wake([message.key]);
    else if (message) this.#onInvalidated(message);
    else this.#lose();
  }

  #onInvalidated({ seq, epoch, publisher, invalidation }: BusMessage & { readonly type: 'invalidated' }): void {
    const isOwn = publisher === this.#options.publisher;
    if (!isOwn) this.#options.onHeard(invalidation);
    const position = this.#position;
    if (!position) return; // the gap with which the next position begins covers it
    if (epoch !== position.epoch) this.#lose();
    else if (seq > position.seq + 1) this.#beginAnew({ ...position, seq });
    else if (seq === position.seq + 1) {
      position.seq = seq;
      if (!isOwn || this.#isShared) for (const listener of this.#listeners) listener.tell(invalidation);
      this.#wake('keys' in invalidation ? invalidation.keys : undefined);
      this.#arrived(seq);
    }
    // Else it is a duplicate, or comes after the gap that was made of its lack.
  }

  #arrived(seq: number): void {
    const awaited = this.#awaited;
    if (!awaited || seq < awaited.seq) return;
    this.#awaitNothing();
    this.#known(awaited.askedAt);
  }

  /** Where the sequence is cannot be said any more, until a read shows it: messages do not say of which server they are. */
  #lose(): void {
    this.#forgetPosition();
    this.#tellGap();
    void this.#probe();
  }

  #onSubscribed(): void {
    if (this.isClosed) return;
    this.#subscription++;
    this.#forgetPosition();
    this.#wake();
    void this.#probe();
  }

  #await(seq: number, askedAt: number): void {
    if (this.#awaited) return;
    const timer = this.#options.clock.schedule(messageDelayMs, () => this.#onMissing(), { background: true });
    this.#awaited = { seq, askedAt, timer };
  }

  #onMissing(): void {
    const [position, awaited] = [this.#position, this.#awaited];
    if (position && awaited) this.#beginAnew({ ...position, seq: awaited.seq }, awaited.askedAt);
  }

  #awaitNothing(): void {
    this.#awaited?.timer.cancel();
    this.#awaited = undefined;
  }

  #known(at: number): void {
    if (at > this.#knownAt) this.#knownAt = at;
  }

  #forgetPosition(): void {
    this.#position = undefined;
    this.#awaitNothing();
  }

  /** What happened up to the new position is covered by the gap, since it was shown by what has come just now. */
  #beginAnew(position: Position, askedAt?: number): void {
    this.#awaitNothing();
    this.#position = position;
    this.#tellGap();
    if (askedAt !== undefined) this.#known(askedAt);
  }

  #tellGap(): void {
    for (const listener of this.#listeners) listener.tell('gap');
    this.#wake();
  }

  #wake(keys?: readonly string[]): void {
    for (const listener of this.#listeners) listener.wake(keys);
  }

  /** As long as it does not answer, a server is asked half as often each time, so that nothing piles up at a frozen one. */
  #probeLater(): void {
    const tick = (): void => {
      this.#probeLater();
      if (++this.#ticks >= 2 ** this.#unanswered) void this.#probe();
    };
    this.#probeTimer = this.#options.clock.schedule(probeIntervalMs, tick, { background: true });
  }

  /** Without a deadline: a late answer is as true of the time when it was asked for. */
  async #probe(): Promise<void> {
    const { port, keys } = this.#options;
    const tell = this.asking();
    this.#ticks = 0;
    this.#unanswered++;
    try {
      const [text] = await port.getMany([keys.versions], this.#closing.signal);
      const versions = parseVersions(text);
      if (versions) tell(versions);
      else if (this.#position) this.#lose();
    } catch {
      // Whoever uses the store hears why; here it is enough that nothing was learnt.
    }
    this.#unanswered = 0;
  }

  #close(): void {
    this.#closing.abort();
    this.#unsubscribe();
    this.#awaitNothing();
    this.#probeTimer?.cancel();
  }
}
