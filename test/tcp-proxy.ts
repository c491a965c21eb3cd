import { connect, createServer, type Server, type Socket } from 'node:net';
import { steadyPort } from './redis-servers.js';

/** What one direction of all connections is like. */
export interface Line {
  readonly delayMs: number;
  /** Up to so much more, evenly spread. Bytes never overtake each other. */
  readonly jitterMs: number;
  readonly bytesPerSecond: number;
  /**
   * Nothing passes. It is kept, and passes when the line is free again, as TCP sends again what was lost: bytes out of the
   * middle of a connection that lives are never missing.
   */
  readonly isHeld: boolean;
}

/** Between a client and a server of this machine, for as long as this process lives. */
export interface TcpProxy {
  readonly port: number;
  /** How many connections clients have now. */
  readonly open: number;
  /** For all connections from now on, those that are there included; what is not named is as if there was no proxy. */
  shape(lines: { readonly toServer?: Partial<Line>; readonly toClient?: Partial<Line> }): void;
  /** A black hole: connections are taken, and nothing passes in either direction until the next `shape`. */
  hold(): void;
  /** Resets the connections that are there. */
  cut(): void;
  /** Cuts, and refuses new connections until `accept`. */
  refuse(): Promise<void>;
  accept(): Promise<void>;
  stop(): Promise<void>;
}

const free: Line = { delayMs: 0, jitterMs: 0, bytesPerSecond: Number.POSITIVE_INFINITY, isHeld: false };
/** More than this is not taken from whoever sends it until some has passed. */
const maxWaitingBytes = 1024 * 1024;

export async function startTcpProxy(targetPort: number, random: () => number = Math.random): Promise<TcpProxy> {
  const port = await steadyPort();
  let toServer = free;
  let toClient = free;
  const connections = new Set<Connection>();

  const take = (client: Socket): void => {
    const upstream = connect({ host: '127.0.0.1', port: targetPort, allowHalfOpen: true, noDelay: true });
    const pipes = [
      new Pipe(client, upstream, () => toServer, random),
      new Pipe(upstream, client, () => toClient, random),
    ];
    const connection: Connection = { sockets: [client, upstream], pipes };
    connections.add(connection);
    for (const socket of connection.sockets) {
      socket.on('error', () => reset(connection));
      socket.once('close', () => {
        if (connection.sockets.every((each) => each.destroyed)) connections.delete(connection);
      });
    }
  };
  const reset = (connection: Connection): void => {
    connections.delete(connection);
    for (const pipe of connection.pipes) pipe.stop();
    for (const socket of connection.sockets) socket.resetAndDestroy();
  };
  const cut = (): void => {
    for (const connection of connections) reset(connection);
  };
  const shape: TcpProxy['shape'] = (lines) => {
    toServer = { ...free, ...lines.toServer };
    toClient = { ...free, ...lines.toClient };
    for (const { pipes } of connections) for (const pipe of pipes) pipe.pass();
  };

  let server: Server | undefined = await listen(port, take);
  const refuse = async (): Promise<void> => {
    const closing = server;
    server = undefined;
    const closed = closing && new Promise((resolve) => closing.close(resolve));
    cut();
    await closed;
  };
  return {
    port,
    get open() {
      return connections.size;
    },
    shape,
    hold: () => shape({ toServer: { isHeld: true }, toClient: { isHeld: true } }),
    cut,
    refuse,
    async accept() {
      server ??= await listen(port, take);
    },
    stop: refuse,
  };
}

interface Connection {
  readonly sockets: readonly Socket[];
  readonly pipes: readonly Pipe[];
}

/** One direction of one connection: what came, in its order, with the time from which each piece may pass. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #line: () => Line;
  readonly #random: () => number;
  /** An undefined piece is the end. */
  #waiting: { readonly piece: Buffer | undefined; readonly dueAt: number }[] = [];
  #waitingBytes = 0;
  /** When the last piece had passed. */
  #freeAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(from: Socket, to: Socket, line: () => Line, random: () => number) {
    this.#from = from;
    this.#to = to;
    this.#line = line;
    this.#random = random;
    from.on('data', (piece) => this.#take(piece));
    from.once('end', () => this.#take(undefined));
    to.on('drain', () => this.pass());
  }

  #take(piece: Buffer | undefined): void {
    const { delayMs, jitterMs } = this.#line();
    const dueAt = performance.now() + delayMs + jitterMs * this.#random();
    this.#waiting.push({ piece, dueAt: Math.max(dueAt, this.#waiting.at(-1)?.dueAt ?? 0) });
    this.#waitingBytes += piece?.length ?? 0;
    if (this.#waitingBytes > maxWaitingBytes) this.#from.pause();
    this.pass();
  }

  /** Sends what is due, and sets the clock for what is next. */
  pass(): void {
    clearTimeout(this.#timer);
    for (;;) {
      const next = this.#waiting[0];
      const { isHeld, bytesPerSecond } = this.#line();
      if (!next || isHeld || this.#to.destroyed || this.#to.writableNeedDrain) return;
      const length = next.piece?.length ?? 0;
      const passesAt = Math.max(next.dueAt, this.#freeAt) + (length / bytesPerSecond) * 1_000;
      const inMs = passesAt - performance.now();
      if (inMs > 0) {
        this.#timer = setTimeout(() => this.pass(), Math.ceil(inMs));
        return;
      }
      this.#freeAt = passesAt;
      this.#waiting.shift();
      if (next.piece) this.#send(next.piece);
      else this.#to.end();
    }
  }

  #send(piece: Buffer): void {
    this.#waitingBytes -= piece.length;
    this.#to.write(piece);
    if (this.#waitingBytes <= maxWaitingBytes) this.#from.resume();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#waiting = [];
  }
}

function listen(port: number, onConnection: (socket: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, onConnection);
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
