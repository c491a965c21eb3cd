import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { answer, type Fault } from './faults.js';
import { readRequest, type WireRequest } from './request-reader.js';
import { Script } from './script.js';

/** What has reached the server, whatever the client believes. */
export interface ChaosCounts {
  /** Connections that were accepted. */
  connections: number;
  /** Requests of which at least one byte came. */
  begun: number;
  /** Requests that were read to the end of their body. */
  requests: number;
}

/** A real HTTP/1.1 server on 127.0.0.1 that does to each request what its script says, down to single bytes. */
export interface ChaosServer {
  readonly url: string;
  readonly port: number;
  /** Since the last `script`. */
  readonly counts: Readonly<ChaosCounts>;
  /** The last 100 that were read whole, oldest first. */
  readonly requests: readonly WireRequest[];
  /** Sockets that are open. */
  readonly open: number;
  /** The next requests meet these, one each; all after them meet `otherwise`, an ordinary answer by default. */
  script(faults: readonly Fault[], otherwise?: Fault): void;
  /** Ends all connections and listens no more: its port refuses. Idempotent. */
  close(): Promise<void>;
}

const mostRequests = 100;

export async function startChaosServer(): Promise<ChaosServer> {
  const script = new Script<Fault>(answer());
  const counts: ChaosCounts = { connections: 0, begun: 0, requests: 0 };
  const requests: WireRequest[] = [];
  const sockets = new Set<Socket>();
  // Half open: what a client that has sent its FIN still gets is the script's business.
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    counts.connections++;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    if (script.peek().meets === 'connection') return script.draw().act({ socket, served: 0 });
    serve(socket, { script, counts, requests }).catch(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  let closed: Promise<unknown> | undefined;
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    counts,
    requests,
    get open() {
      return sockets.size;
    },
    script(faults, otherwise = answer()) {
      script.set(faults, otherwise);
      Object.assign(counts, { connections: 0, begun: 0, requests: 0 });
      requests.length = 0;
    },
    async close() {
      closed ??= new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

interface Reached {
  readonly script: Script<Fault>;
  readonly counts: ChaosCounts;
  readonly requests: WireRequest[];
}

/** One request after the other of one connection, until a fault ends it. */
async function serve(socket: Socket, { script, counts, requests }: Reached): Promise<void> {
  const bytes: AsyncIterator<Buffer> = socket.iterator({ destroyOnReturn: false });
  let kept: Buffer = Buffer.alloc(0);
  for (let served = 0; ; served++) {
    if (kept.length === 0) {
      const { done, value } = await bytes.next();
      if (done) return void socket.end();
      kept = value;
    }
    counts.begun++;
    const fault = script.draw();
    if (fault.meets !== 'request') return fault.act({ socket, served });
    const read = await readRequest(kept, bytes);
    if (!read) return void socket.end();
    counts.requests++;
    kept = read.rest;
    requests.push(read.request);
    if (requests.length > mostRequests) requests.shift();
    fault.act({ socket, served, request: read.request });
  }
}
