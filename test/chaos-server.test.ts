import { type ClientHttp2Session, connect as connectH2, type IncomingHttpStatusHeader } from 'node:http2';
import { connect } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import * as h2 from '../packages/core/test/chaos/chaos-h2-server.js';
import { type ChaosServer, startChaosServer } from '../packages/core/test/chaos/chaos-server.js';
import * as faults from '../packages/core/test/chaos/faults.js';

async function chaos(): Promise<ChaosServer> {
  const server = await startChaosServer();
  onTestFinished(server.close);
  return server;
}

const get = 'GET /a HTTP/1.1\r\nhost: h\r\n\r\n';

/** What a client hears that sends `pieces`, one turn after the other, and how its connection ends. */
function heard(port: number, ...pieces: readonly string[]): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  onTestFinished(() => void socket.destroy());
  let text = '';
  const { promise, resolve } = Promise.withResolvers<string>();
  socket.on('data', (piece) => {
    text += piece.toString('latin1');
  });
  socket.once('error', (error: NodeJS.ErrnoException) => resolve(`${text} ${error.code}`.trim()));
  socket.once('end', () => resolve(`${text} FIN`.trim()));
  for (const piece of pieces) socket.write(piece);
  return promise;
}

it('reads requests with either framing, in any pieces, and answers them one after the other', async () => {
  const server = await chaos();
  server.script(
    [faults.answer(200, {}, 'one'), faults.answer(429, { 'retry-after': '7' }, '')],
    faults.answerThenEnd(),
  );
  const chunked = 'PUT /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n';
  const said = await heard(server.port, 'POST /a HTTP/1.1\r\ncontent-', 'length: 4\r\n\r\nbo', `dy${chunked}`, get);
  expect(said).toBe(
    'HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\none' +
      'HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nretry-after: 7\r\n\r\n' +
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok FIN',
  );
  expect(server.requests.map(({ method, path, body }) => `${method} ${path} ${body}`)).toEqual([
    'POST /a body',
    'PUT /b abcde',
    'GET /a ',
  ]);
  expect(server.counts).toEqual({ connections: 1, begun: 3, requests: 3 });
});

const ok = 'HTTP/1.1 200 OK\r\n';

it.each<[name: string, fault: faults.Fault, heard: string, requests: number]>([
  ['a reset on accept', faults.resetOnAccept, 'ECONNRESET', 0],
  ['a reset before reading', faults.resetUnread, 'ECONNRESET', 0],
  ['a reset after reading', faults.resetAfterReading, 'ECONNRESET', 1],
  ['an end before reading', faults.endUnread, 'FIN', 0],
  ['an end in place of an answer', faults.endWithoutAnswer, 'FIN', 1],
  ['another protocol', faults.garbage, 'SSH-2.0-OpenSSH_9.6\r\n\0\x01\x02 FIN', 1],
  ['half a chunk', faults.truncatedChunk, `${ok}transfer-encoding: chunked\r\n\r\n5\r\nwhole\r\n14\r\nhalf FIN`, 1],
  ['a body that is too short', faults.shorterThanSaid, `${ok}content-length: 100\r\n\r\n0123456789 FIN`, 1],
  ['a reset amid the body', faults.resetMidBody, `${ok}content-length: 100\r\n\r\n0123456789 ECONNRESET`, 1],
])('does %s', async (_, fault, expected, requests) => {
  const server = await chaos();
  server.script([fault]);
  expect(await heard(server.port, get)).toBe(expected);
  expect(server.counts.requests).toBe(requests);
});

it.each([true, false])('sends bodies of any size, with their length in front: %s', async (isSaid) => {
  const server = await chaos();
  server.script([faults.oversize(100_000, isSaid)]);
  const answer = await fetch(server.url);
  expect(answer.headers.get('content-length')).toBe(isSaid ? '100000' : null);
  expect(await answer.text()).toBe('x'.repeat(100_000));
});

it('drips', async () => {
  const server = await chaos();
  server.script([faults.drip(5, 1)]);
  expect(await (await fetch(server.url)).text()).toBe('.....');
});

it.each<[name: string, fault: faults.Fault]>([
  ['a hang', faults.hang],
  ['a hang amid the body', faults.hangMidBody],
  ['a drip', faults.drip(1_000, 1)],
  ['more than anybody reads', faults.oversize(1e9, true)],
])('keeps no socket that its client has left amid %s', async (_, fault) => {
  const server = await chaos();
  server.script([fault]);
  const socket = connect({ host: '127.0.0.1', port: server.port });
  socket.write(get);
  await expect.poll(() => server.counts.requests).toBe(1);
  socket.destroy();
  await expect.poll(() => server.open).toBe(0);
});

it('refuses when it is closed', async () => {
  const server = await chaos();
  await server.close();
  expect(await heard(server.port, get)).toBe('ECONNREFUSED');
});

it.each<[name: string, fault: h2.H2Fault, outcome: string]>([
  ['answers', h2.h2Answer, '200 ok'],
  ['answers and goes', h2.answerThenGoAway, '200 ok, GOAWAY 0 after 3'],
  ['goes without having processed the stream', h2.goAwayWithout, 'NGHTTP2_REFUSED_STREAM, GOAWAY 0 after 1'],
  ['goes amid the stream', h2.goAwayAmid, 'ERR_HTTP2_SESSION_ERROR, GOAWAY 11 after 3'],
  ['refuses the stream', h2.refuseStream, 'NGHTTP2_REFUSED_STREAM'],
  ['fails the stream', h2.failStream, 'NGHTTP2_INTERNAL_ERROR'],
  ['fails amid the body', h2.failMidBody, '200 0123456789 NGHTTP2_INTERNAL_ERROR'],
])('over HTTP/2 %s', async (_, fault, outcome) => {
  const server = await h2.startChaosH2Server();
  onTestFinished(server.close);
  const session = connectH2(server.url, { ca: server.ca });
  const said: string[] = [];
  session.on('error', () => {});
  session.on('goaway', (code, last) => said.push(`GOAWAY ${code} after ${last}`));
  expect(await askedOver(session)).toBe('200 ok');
  server.script([fault]);
  said.unshift(await askedOver(session));
  if (outcome.includes('GOAWAY')) await expect.poll(() => said.length).toBeGreaterThan(1);
  session.destroy();
  expect(said.join(', ')).toBe(outcome);
  expect(server.counts).toEqual({ connections: 0, requests: 1 });
});

/** The status, the body, and how it failed. */
async function askedOver(session: ClientHttp2Session): Promise<string> {
  const stream = session.request({ ':path': '/' });
  let text = '';
  stream.on('response', (headers: IncomingHttpStatusHeader) => {
    text += `${headers[':status']} `;
  });
  stream.on('data', (piece) => {
    text += piece;
  });
  return new Promise((resolve) => {
    stream.once('error', (error: NodeJS.ErrnoException) => {
      text += ` ${/NGHTTP2_\w+/.exec(error.message)?.[0] ?? error.code}`;
    });
    stream.once('close', () => resolve(text.trim()));
  });
}
