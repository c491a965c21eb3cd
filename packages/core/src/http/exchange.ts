import { AsyncLocalStorage } from 'node:async_hooks';
import type { IncomingHttpHeaders } from 'node:http';
import type { Dispatcher } from 'undici';
import { badOption, isWarmpathError, roundingMs } from '../kernel/index.js';
import { closedError, codeOf, failedError, isOfSocket, isUnprocessed, kindOf, type RequestFacts } from './errors.js';
import type { HttpErrorKind, HttpPhase } from './events.js';
import type { Waiting } from './gates.js';
import { announce, type PooledSocket, type Sender } from './sockets.js';
import type { Timed, Wire, WireOptions } from './wire.js';

type Controller = Dispatcher.DispatchController;

/**
 * One request on the wire: it is handed to undici, watched for silence, and its callbacks go on to `handler`. Its failures become errors that
 * say how far it came. It is sent once more when a server of HTTP/2 has not looked at it, and when a socket that had served before is gone before
 * the first byte of an answer and it may be sent twice, for which its options say `idempotent`. Its body has to be at hand for that.
 *
 * `onRequestStart` may come more than once, each time with the controller that counts from then on: undici itself sends again what a
 * server has not looked at, where it can.
 */
export class Exchange implements Dispatcher.DispatchHandler, Sender, Timed, Waiting {
  readonly places: number[] = [-1];
  endsAt = 0;
  readonly #wire: Wire;
  readonly #options: WireOptions;
  readonly #origin: string;
  readonly #handler: Dispatcher.DispatchHandler;
  readonly #beganAt: number;
  #phase: HttpPhase = 'not-sent';
  #controller: Controller | undefined;
  #socket: PooledSocket | undefined;
  #isReuse = false;
  #isRunning = false;
  /** Of one that had to wait: it starts when another one ends. */
  #inOwnContext: (<T>(run: () => T) => T) | undefined;
  #isRepeated = false;
  #hasPlace = false;
  #isOver = false;
  #status = 0;
  #lastDataAt = 0;

  constructor(wire: Wire, options: WireOptions, handler: Dispatcher.DispatchHandler) {
    this.#wire = wire;
    this.#options = options;
    this.#origin = String(options.origin);
    this.#handler = handler;
    this.#beganAt = wire.onEvent ? wire.clock.now() : 0;
    wire.inFlight++;
  }

  begin(): boolean {
    if (this.#wire.gates.enter(this.#origin, this)) this.start();
    else this.#wait();
    return true;
  }

  start(): void {
    this.#hasPlace = true;
    if (this.#options.asker) this.#options.asker.onLeave = undefined;
    if (this.#inOwnContext) this.#inOwnContext(() => this.#send());
    else this.#send();
  }

  onRequestStart(controller: Controller, context: unknown): void {
    this.#releaseSocket();
    if (this.#phase === 'sent') this.#countRepeat();
    this.#controller = controller;
    this.#isRunning = true;
    this.#wire.running++;
    announce(this);
    this.#handler.onRequestStart?.(controller, context);
  }

  onSent(socket: PooledSocket, isReuse: boolean): void {
    this.#socket = socket;
    this.#isReuse = isReuse;
    this.#phase = 'sent';
    this.#wire.gates.sentAs(this.#origin, socket.isH2);
    if (this.#wire.headersTimeoutMs > 0) this.#watch(this.#wire.clock.now() + this.#wire.headersTimeoutMs);
  }

  onResponseStarted(): void {
    this.#phase = 'responding';
    this.#handler.onResponseStarted?.();
  }

  onResponseStart(controller: Controller, status: number, headers: IncomingHttpHeaders, message?: string): void {
    this.#phase = 'responding';
    if (status >= 200) {
      this.#status = status;
      this.#wire.deadlines.remove(this);
      if (this.#wire.bodyTimeoutMs > 0) this.#watchBody();
    }
    this.#handler.onResponseStart?.(controller, status, headers, message);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    if (this.#isOver) return;
    if (this.places[0] !== -1) this.#lastDataAt = this.#wire.clock.now();
    this.#handler.onResponseData?.(controller, chunk);
  }

  onResponseEnd(controller: Controller, trailers: IncomingHttpHeaders): void {
    if (!this.#end()) return;
    if (this.#status < 400) this.#wire.ok++;
    this.#handler.onResponseEnd?.(controller, trailers);
  }

  /** @param controller null where the request never began */
  onResponseError(controller: Controller | null, error: Error): void {
    if (this.#isOver) return; // a proxy's 407 is told as an error, and read on
    const isAborted = controller?.aborted === true && controller.reason === error;
    const isUnread = !isAborted && this.#phase === 'sent' && isUnprocessed(error);
    if (!isAborted && !this.#isRepeated && (isUnread || this.#isGoneStale(error))) {
      if (isAtHand(this.#options.body)) {
        this.#redial();
        return;
      }
      this.#options.asker?.onBodyGone?.();
    }
    if (isUnread) this.#phase = 'not-sent';
    const told = isAborted ? error : this.#explained(controller, error);
    this.#fail(controller, told, isAborted ? abortKind(error) : kindOf(told));
  }

  onDue(): void {
    const now = this.#wire.clock.now();
    const { headersTimeoutMs, bodyTimeoutMs } = this.#wire;
    if (this.#phase !== 'responding') {
      this.#giveUp(`did not begin to answer within ${headersTimeoutMs} ms`);
      return;
    }
    if (this.#controller?.paused === true) this.#lastDataAt = now; // nobody reads: that is not the service's silence
    if (now - this.#lastDataAt >= bodyTimeoutMs - roundingMs) {
      this.#giveUp(`sent nothing more of its answer for ${bodyTimeoutMs} ms`);
      return;
    }
    this.#watch(this.#lastDataAt + bodyTimeoutMs);
  }

  #send(): boolean {
    return this.#wire.transport.dispatch(this.#options, this);
  }

  #wait(): void {
    this.#inOwnContext = AsyncLocalStorage.snapshot();
    const { asker } = this.#options;
    if (!asker) return;
    asker.onLeave = (reason) => {
      asker.onLeave = undefined;
      this.#wire.gates.giveUp(this.#origin, this);
      this.#fail(null, reason, abortKind(reason));
    };
  }

  #fail(controller: Controller | null, error: Error, kind: HttpErrorKind): void {
    this.#end(kind);
    this.#handler.onResponseError?.(controller as Controller, error);
  }

  #facts(): RequestFacts {
    return {
      service: this.#wire.service,
      method: this.#options.method,
      phase: this.#phase,
      isRepeatable: this.#options.idempotent === true,
      isReuse: this.#phase === 'not-sent' ? undefined : this.#isReuse,
    };
  }

  /** Most bodies come with their head: a timer is for those that have not come when undici has read what there is. */
  #watchBody(): void {
    queueMicrotask(() => {
      if (this.#isOver) return;
      this.#lastDataAt = this.#wire.clock.now();
      this.#watch(this.#lastDataAt + this.#wire.bodyTimeoutMs);
    });
  }

  #watch(endsAt: number): void {
    this.endsAt = endsAt;
    if (this.#wire.deadlines.has(this)) this.#wire.deadlines.update(this);
    else this.#wire.deadlines.add(this);
  }

  #giveUp(what: string): void {
    const cause = new Error(what);
    this.#controller?.abort(failedError(this.#facts(), 'timeout', cause, what));
  }

  #isGoneStale(error: Error): boolean {
    return this.#phase === 'sent' && this.#isReuse && this.#options.idempotent === true && isOfSocket(error);
  }

  #countRepeat(): void {
    this.#isRepeated = true;
    this.#wire.countRedial();
  }

  /** Not within undici's own handling of the socket that is gone. */
  #redial(): void {
    this.#countRepeat();
    this.#wire.deadlines.remove(this);
    this.#phase = 'not-sent';
    this.#controller = undefined;
    this.#releaseSocket();
    queueMicrotask(() => this.#send());
  }

  #explained(controller: Controller | null, error: Error): Error {
    if (isWarmpathError(error)) return error;
    const code = codeOf(error);
    if (code === 'UND_ERR_DESTROYED' || code === 'UND_ERR_CLOSED') return closedError(this.#wire.service);
    if (!controller && (code === 'UND_ERR_INVALID_ARG' || code === 'UND_ERR_NOT_SUPPORTED')) {
      const rule = `one that HTTP allows: ${error.message}`; // which names headers and no values
      return badOption(`${this.#wire.service}: request`, 'init', rule, undefined, true);
    }
    return failedError(this.#facts(), kindOf(error), error);
  }

  #releaseSocket(): void {
    if (this.#isRunning) this.#wire.running--;
    this.#isRunning = false;
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket) this.#wire.sockets.release(socket);
  }

  /** A response that says 400 or more counts as that, however its body ends. */
  #end(kind?: HttpErrorKind): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#wire.deadlines.remove(this);
    this.#releaseSocket();
    const said = this.#status >= 500 ? 'status5xx' : this.#status >= 400 ? 'status4xx' : kind;
    if (said) this.#wire.countFailure(said, this.#phase, this.#beganAt);
    if (this.#hasPlace) this.#wire.gates.leave(this.#origin);
    this.#wire.countEnd();
    return true;
  }
}

function isAtHand(body: unknown): boolean {
  return body === undefined || body === null || typeof body === 'string' || body instanceof Uint8Array;
}

/** A caller's own errors are its business: whatever they are, the caller has left. */
function abortKind(reason: Error): HttpErrorKind {
  return isWarmpathError(reason) ? kindOf(reason) : 'aborted';
}
