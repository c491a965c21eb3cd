import { once } from 'node:events';
import { constants, createSecureServer, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { type Certificate, selfSigned } from './certificate.js';
import { Script } from './script.js';

/** What is done to one request. */
export type H2Fault = (stream: ServerHttp2Stream, session: Http2Session) => void;

/** A real HTTP/2 server on 127.0.0.1, over TLS, that does to each request what its script says. */
export interface ChaosH2Server {
  readonly url: string;
  /** What a client has to trust. */
  readonly ca: string;
  /** Since the last `script`: connections, and requests that were read whole. */
  readonly counts: Readonly<{ connections: number; requests: number }>;
  /** Sockets that are open. */
  readonly open: number;
  script(faults: readonly H2Fault[], otherwise?: H2Fault): void;
  close(): Promise<void>;
}

const {
  NGHTTP2_NO_ERROR,
  NGHTTP2_INTERNAL_ERROR,
  NGHTTP2_REFUSED_STREAM,
  NGHTTP2_ENHANCE_YOUR_CALM,
  HTTP2_HEADER_STATUS: status,
} = constants;

export const h2Answer: H2Fault = (stream) => {
  stream.respond({ [status]: 200 });
  stream.end('ok');
};

/** Ends what is under way, takes nothing new (RFC 9113, section 6.8). */
export const answerThenGoAway: H2Fault = (stream, session) => {
  h2Answer(stream, session);
  stream.once('close', () => session.close());
};

/**
 * Says that the stream was never processed: it may be sent again, whatever it is. Not for the first of a connection, since
 * Node takes 0 for "all that have come".
 */
export const goAwayWithout: H2Fault = (stream, session) => {
  session.goaway(NGHTTP2_NO_ERROR, (stream.id ?? 1) - 2);
  setImmediate(() => session.destroy());
};

/** Ends the connection while the stream is one that it has taken. */
export const goAwayAmid: H2Fault = (stream, session) => {
  session.goaway(NGHTTP2_ENHANCE_YOUR_CALM, stream.id ?? 1);
  setImmediate(() => session.destroy());
};

/** Nothing was done with it (RFC 9113, section 8.7): it may be sent again. */
export const refuseStream: H2Fault = (stream) => stream.close(NGHTTP2_REFUSED_STREAM);

export const failStream: H2Fault = (stream) => stream.close(NGHTTP2_INTERNAL_ERROR);

export const failMidBody: H2Fault = (stream) => {
  stream.respond({ [status]: 200 });
  // A close would end the body first, which is then whole.
  stream.write('0123456789', () => stream.destroy(new Error('broken off')));
};

export const hangStream: H2Fault = () => {};

export async function startChaosH2Server(certificate: Certificate = selfSigned()): Promise<ChaosH2Server> {
  const script = new Script<H2Fault>(h2Answer);
  const counts = { connections: 0, requests: 0 };
  const sockets = new Set<Socket>();
  const server = createSecureServer({ ...certificate, allowHTTP1: false });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.on('session', (session) => {
    counts.connections++;
    session.on('error', () => {});
  });
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.resume();
    stream.once('end', () => {
      counts.requests++;
      if (stream.session) script.draw()(stream, stream.session);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let closed: Promise<unknown> | undefined;
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ca: certificate.cert,
    counts,
    get open() {
      return sockets.size;
    },
    script(faults, otherwise = h2Answer) {
      script.set(faults, otherwise);
      Object.assign(counts, { connections: 0, requests: 0 });
    },
    async close() {
      closed ??= new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
