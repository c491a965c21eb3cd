import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js';

/** A server that sends back what comes, with a proxy before it. */
async function echo(): Promise<TcpProxy> {
  const server = createServer((socket) => void socket.on('error', () => {}).pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = await startTcpProxy((server.address() as AddressInfo).port);
  onTestFinished(async () => {
    await proxy.stop();
    server.close();
  });
  return proxy;
}

interface Line {
  readonly socket: Socket;
  /** @returns what comes back, when as much has come as was said */
  say(text: string): Promise<string>;
  /** How it ended: the code of its error, or `'end'`. */
  readonly ended: Promise<string>;
}

function dial(proxy: TcpProxy): Line {
  const socket = connect({ host: '127.0.0.1', port: proxy.port, noDelay: true });
  onTestFinished(() => void socket.destroy());
  const { promise: ended, resolve: end } = Promise.withResolvers<string>();
  socket.once('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  socket.once('end', () => end('end'));
  return {
    socket,
    ended,
    say: (text) =>
      new Promise((resolve) => {
        let back = '';
        const hear = (piece: Buffer): void => {
          back += piece.toString('latin1');
          if (back.length < text.length) return;
          socket.off('data', hear);
          resolve(back);
        };
        socket.on('data', hear);
        socket.write(text);
      }),
  };
}

async function timed(work: Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work;
  return performance.now() - began;
}

const said = (lines: readonly Promise<string>[]): Promise<string> => Promise.race([...lines, pause(50, 'nothing')]);
const pause = (ms: number, value: string): Promise<string> =>
  new Promise((resolve) => setTimeout(() => resolve(value), ms));

it('passes all bytes in their order, in pieces that are late by chance too, and the end', async () => {
  const proxy = await echo();
  const line = dial(proxy);
  proxy.shape({ toServer: { delayMs: 1, jitterMs: 3 }, toClient: { jitterMs: 3 } });
  const text = Array.from({ length: 300_000 }, (_, index) => index % 10).join('');
  expect(await line.say(text)).toBe(text);
  line.socket.end();
  expect(await line.ended).toBe('end');
  await expect.poll(() => proxy.open).toBe(0);
});

it('makes each direction slow by itself, also for connections that are there', async () => {
  const proxy = await echo();
  const line = dial(proxy);
  expect(await line.say('before')).toBe('before');
  proxy.shape({ toServer: { delayMs: 40 } });
  expect(await timed(line.say('there'))).toBeGreaterThanOrEqual(39);
  proxy.shape({ toServer: { delayMs: 30 }, toClient: { delayMs: 30 } });
  expect(await timed(line.say('both'))).toBeGreaterThanOrEqual(59);
});

it('lets no more bytes pass than the bandwidth', async () => {
  const proxy = await echo();
  proxy.shape({ toClient: { bytesPerSecond: 100_000 } });
  expect(await timed(dial(proxy).say('x'.repeat(10_000)))).toBeGreaterThanOrEqual(99);
});

it('holds what comes while it is a black hole, takes connections all the same, and passes it all afterwards', async () => {
  const proxy = await echo();
  const [before, during] = [dial(proxy), dial(proxy)];
  expect(await before.say('passes')).toBe('passes');
  proxy.hold();
  const lines = [before.say('first'), during.say('other')];
  expect(await said(lines)).toBe('nothing');
  proxy.shape({});
  expect(await Promise.all(lines)).toEqual(['first', 'other']);
  proxy.shape({ toClient: { isHeld: true } });
  const answer = before.say('half');
  expect(await said([answer])).toBe('nothing');
  proxy.shape({});
  expect(await answer).toBe('half');
});

it('cuts what is there, and refuses what comes until it accepts again', async () => {
  const proxy = await echo();
  const line = dial(proxy);
  await line.say('there');
  proxy.cut();
  expect(await line.ended).toBe('ECONNRESET');
  expect(await dial(proxy).say('new')).toBe('new');
  await proxy.refuse();
  expect(await dial(proxy).ended).toBe('ECONNREFUSED');
  await proxy.accept();
  expect(await dial(proxy).say('again')).toBe('again');
});
