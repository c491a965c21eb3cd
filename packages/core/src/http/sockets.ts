import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { ClientHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import type { buildConnector, DiagnosticsChannel } from 'undici';
import { type Clock, roundingMs, type Timer } from '../kernel/index.js';

/** One request, as far as its socket is concerned. */
export interface Sender {
  /** Its head is being written. */
  onSent(socket: PooledSocket, isReuse: boolean): void;
}

/** A socket that a pool has opened. */
export class PooledSocket {
  readonly socket: Socket;
  readonly owner: Sockets;
  readonly isH2: boolean;
  /** Requests on it now: at most one with HTTP/1. */
  running = 0;
  hasServed = false;
  idleSince: number;

  constructor(socket: Socket, owner: Sockets, now: number) {
    this.socket = socket;
    this.owner = owner;
    this.isH2 = (socket as { readonly alpnProtocol?: unknown }).alpnProtocol === 'h2';
    this.idleSince = now;
  }
}

const pooled = new WeakMap<object, PooledSocket>();

/**
 * undici's channels report for the whole process and do not say whose handler a request has. But it tells a handler that its request begins
 * (`onRequestStart`) in the same run of code in which it then writes the request's head, so the one announced last is it.
 */
let announced: Sender | undefined;

/** To be called by a request's handler when it begins. */
export function announce(sender: Sender): void {
  announced = sender;
}

function onSendHeaders(message: unknown): void {
  const entry = pooled.get((message as DiagnosticsChannel.ClientSendHeadersMessage).socket);
  if (entry === undefined) return; // of somebody else's pool, or the way to a proxy
  const sender = announced;
  announced = undefined;
  entry.owner.onSend(entry, sender);
  if (!entry.isH2) return;
  isOpening = true;
  queueMicrotask(hasOpened);
}

/** Whether a stream that is created now is a pool's: undici opens it right after the head that it reports. */
let isOpening = false;

function hasOpened(): void {
  isOpening = false;
}

/** RFC 9113 section 7: the stream is no longer needed. */
const cancel = 8;

/**
 * undici closes a stream that is given up with NO_ERROR, and destroys it at once. If part of its body has not been sent, Node goes on
 * sending empty pieces of it without end, and the process stands still (undici 8.12, Node 22.19 and 24.21). CANCEL ends it at once.
 */
function onStreamCreated(message: unknown): void {
  if (!isOpening) return;
  const { stream } = message as { readonly stream: ClientHttp2Stream };
  const { close } = stream;
  stream.close = (code = cancel, callback) => close.call(stream, code, callback);
}

/** One subscription of each serves all pools: each one costs every request of the process. */
const channels = [
  ['undici:client:sendHeaders', onSendHeaders],
  ['http2.client.stream.created', onStreamCreated],
] as const;
let listening = 0;

/** How long a socket above the limit of idle ones is kept, so that waves of requests do not dial anew for each. */
const surplusMs = 5_000;

/** The sockets of one pool: what they have carried, and which of them are idle. All O(1) but the closing of surplus ones. */
export class Sockets {
  dialled = 0;
  sent = 0;
  reused = 0;
  h2 = 0;
  readonly #clock: Clock;
  readonly #maxIdle: number;
  readonly #open = new Set<PooledSocket>();
  #busy = 0;
  #bytesSent = 0;
  #bytesReceived = 0;
  #sweep: Timer | undefined;
  #isStopped = false;

  constructor(clock: Clock, maxIdle: number) {
    this.#clock = clock;
    this.#maxIdle = maxIdle;
    if (listening++ === 0) for (const [channel, listener] of channels) subscribe(channel, listener);
  }

  get open(): number {
    return this.#open.size;
  }

  get bytes(): { readonly sent: number; readonly received: number } {
    let [sent, received] = [this.#bytesSent, this.#bytesReceived];
    for (const { socket } of this.#open) {
      sent += socket.bytesWritten;
      received += socket.bytesRead;
    }
    return { sent, received };
  }

  /** The same connector, whose sockets count as this pool's. */
  marking(connect: buildConnector.connector): buildConnector.connector {
    return (target, callback) =>
      connect(target, (...outcome) => {
        const [, socket] = outcome;
        if (socket) this.#add(socket);
        callback(...outcome);
      });
  }

  onSend(entry: PooledSocket, sender: Sender | undefined): void {
    this.sent++;
    if (entry.isH2) this.h2++;
    const isReuse = entry.hasServed;
    if (isReuse) this.reused++;
    entry.hasServed = true;
    if (sender === undefined) return;
    if (entry.running++ === 0) this.#busy++;
    sender.onSent(entry, isReuse);
  }

  /** A request on it is over. */
  release(entry: PooledSocket): void {
    if (--entry.running > 0) return;
    this.#busy--;
    entry.idleSince = this.#clock.now();
    this.#watchSurplus();
  }

  /** Counts nothing any more. Idempotent. */
  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    this.#sweep?.cancel();
    if (--listening === 0) for (const [channel, listener] of channels) unsubscribe(channel, listener);
  }

  #add(socket: Socket): void {
    const entry = new PooledSocket(socket, this, this.#clock.now());
    this.dialled++;
    pooled.set(socket, entry);
    this.#open.add(entry);
    socket.once('close', () => {
      this.#open.delete(entry);
      this.#bytesSent += socket.bytesWritten;
      this.#bytesReceived += socket.bytesRead;
    });
  }

  get #surplus(): number {
    return this.#open.size - this.#busy - this.#maxIdle;
  }

  #watchSurplus(): void {
    if (this.#surplus > 0 && this.#sweep === undefined) this.#sweepAfter(surplusMs);
  }

  #sweepAfter(delayMs: number): void {
    if (this.#isStopped) return;
    this.#sweep = this.#clock.schedule(delayMs, () => this.#closeSurplus(), { background: true });
  }

  /** Those idle longest go first. undici takes back what it was about to send on one and dials anew for it. */
  #closeSurplus(): void {
    this.#sweep = undefined;
    const idle = [...this.#open].filter((entry) => entry.running === 0).sort((a, b) => a.idleSince - b.idleSince);
    const now = this.#clock.now();
    for (const entry of idle.slice(0, Math.max(0, this.#surplus))) {
      const leftMs = entry.idleSince + surplusMs - now;
      if (leftMs > roundingMs) {
        this.#sweepAfter(leftMs);
        return;
      }
      entry.socket.destroy();
    }
  }
}
