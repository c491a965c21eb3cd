import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { createHttpPool, type HttpPool, type HttpPoolOptions } from '../src/http/index.js';

/** A pool that is closed after the test. */
export function poolOf(options?: HttpPoolOptions): HttpPool {
  const pool = createHttpPool(options);
  onTestFinished(() => pool.close({ drain: 0 }));
  return pool;
}

/** An HTTP server on 127.0.0.1 for the rest of the test. */
export async function serve(answer: RequestListener): Promise<{ readonly url: string; closeIdle(): void }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, closeIdle: () => server.closeIdleConnections() };
}

/** A server that sees bytes: `onData` is told of each piece and of how many came before it on its connection. */
export async function serveBytes(onData: (socket: Socket, piece: number, connection: number) => void): Promise<string> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    const connection = connections++;
    let pieces = 0;
    sockets.add(socket);
    socket.on('data', () => onData(socket, pieces++, connection));
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Waits for I/O, not for time. */
export async function until(isSo: () => boolean): Promise<void> {
  for (let turn = 0; turn < 500_000 && !isSo(); turn++) await new Promise((resolve) => setImmediate(resolve));
  if (!isSo()) throw new Error('It did not come about.');
}

/** What a promise was rejected with. */
export async function failureOf(promise: PromiseLike<unknown>): Promise<Error & { code?: unknown; details?: unknown }> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('It did not fail.');
}
