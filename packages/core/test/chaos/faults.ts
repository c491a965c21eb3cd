import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import type { WireRequest } from './request-reader.js';

/** One request as a fault meets it. */
export interface Exchange {
  readonly socket: Socket;
  /** Requests of this connection that were answered before. */
  readonly served: number;
  /** Absent for a fault that does not wait for it. */
  readonly request?: WireRequest;
}

/** What is done to one request. */
export interface Fault {
  /** `connection`: as soon as there is one; `bytes`: when a request's first byte has come; `request`: when all of it was read. */
  readonly meets: 'connection' | 'bytes' | 'request';
  act(exchange: Exchange): void;
}

type Headers = Readonly<Record<string, string>>;

const onRequest = (act: Fault['act']): Fault => ({ meets: 'request', act });

function head(status: number, headers: Headers): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${lines.join('')}\r\n`;
}

/** An ordinary answer, whatever its status; the connection stays. */
export function answer(status: number = 200, headers: Headers = {}, body: string = 'ok'): Fault {
  const text = head(status, { 'content-length': String(Buffer.byteLength(body)), ...headers }) + body;
  return onRequest(({ socket }) => void socket.write(text));
}

/** An answer, after which the server ends the connection without having said so. */
export function answerThenEnd(body: string = 'ok'): Fault {
  return onRequest(({ socket }) => void socket.end(head(200, { 'content-length': String(body.length) }) + body));
}

/** A RST as soon as the connection is there. */
export const resetOnAccept: Fault = { meets: 'connection', act: ({ socket }) => void socket.resetAndDestroy() };

/** A RST at the first byte of the request. On a connection that has served before it is the stale keep-alive socket. */
export const resetUnread: Fault = { meets: 'bytes', act: ({ socket }) => void socket.resetAndDestroy() };

/** A FIN at the first byte, as when the server has given an idle connection up in the same moment. */
export const endUnread: Fault = { meets: 'bytes', act: ({ socket }) => void socket.destroy() };

export const resetAfterReading: Fault = onRequest(({ socket }) => void socket.resetAndDestroy());

/** A FIN in place of an answer; the connection is half open from then on. */
export const endWithoutAnswer: Fault = onRequest(({ socket }) => void socket.end());

/** Reads the request and says nothing. */
export const hang: Fault = onRequest(() => {});

/** 10 of 100 bytes, then nothing. */
export const hangMidBody: Fault = onRequest(({ socket }) => {
  socket.write(`${head(200, { 'content-length': '100' })}0123456789`);
});

/** One byte every `everyMs`, chunked, until all are there. */
export function drip(bytes: number, everyMs: number): Fault {
  return onRequest(({ socket }) => {
    socket.write(head(200, { 'transfer-encoding': 'chunked' }));
    let left = bytes;
    const timer = setInterval(() => {
      socket.write('1\r\n.\r\n');
      if (--left > 0) return;
      clearInterval(timer);
      socket.write('0\r\n\r\n');
    }, everyMs);
    socket.once('close', () => clearInterval(timer));
  });
}

/** Another protocol in place of HTTP. */
export const garbage: Fault = onRequest(({ socket }) => void socket.end('SSH-2.0-OpenSSH_9.6\r\n\0\x01\x02'));

/** A RST in the middle of a body. */
export const resetMidBody: Fault = onRequest(({ socket }) => {
  socket.write(`${head(200, { 'content-length': '100' })}0123456789`, () => socket.resetAndDestroy());
});

/** A chunk of which the second half never comes, and a FIN. */
export const truncatedChunk: Fault = onRequest(({ socket }) => {
  socket.end(`${head(200, { 'transfer-encoding': 'chunked' })}5\r\nwhole\r\n14\r\nhalf`);
});

/** Chunks that are whole, and a FIN in place of the last one. */
export const missingLastChunk: Fault = onRequest(({ socket }) => {
  socket.end(`${head(200, { 'transfer-encoding': 'chunked' })}5\r\nwhole\r\n`);
});

/** A FIN before the content-length is reached. */
export const shorterThanSaid: Fault = onRequest(({ socket }) => {
  socket.end(`${head(200, { 'content-length': '100' })}0123456789`);
});

/** More than the content-length says: what is left over is no answer to anybody. */
export const longerThanSaid: Fault = onRequest(({ socket }) => {
  socket.write(`${head(200, { 'content-length': '2' })}okHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged`);
});

/** A body of so many bytes; `isSaid`: with its length in front, else chunked. */
export function oversize(bytes: number, isSaid: boolean): Fault {
  return onRequest(({ socket }) => {
    const framing: Headers = isSaid ? { 'content-length': String(bytes) } : { 'transfer-encoding': 'chunked' };
    socket.write(head(200, framing));
    const body = Readable.from(pieces(bytes, isSaid));
    socket.once('close', () => body.destroy());
    body.pipe(socket, { end: false });
  });
}

const pieceBytes = 16 * 1024;

function* pieces(bytes: number, isSaid: boolean): Iterable<string> {
  for (let left = bytes; left > 0; left -= pieceBytes) {
    const piece = 'x'.repeat(Math.min(left, pieceBytes));
    yield isSaid ? piece : `${piece.length.toString(16)}\r\n${piece}\r\n`;
  }
  if (!isSaid) yield '0\r\n\r\n';
}
