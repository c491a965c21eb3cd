import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createHttpPool } from '@warmpath/core/http';
import { Pool } from 'undici';
import { type Outcome, rounded } from '#harness';

const rounds = 31;
const warmUpRounds = 6;
const connections = 50;

/** How many requests a round makes, and how many of them at a time. */
const loads = {
  'pool.request/undici.pool': { requests: 300, atOnce: 1 },
  'pool.request.50/undici.pool.50': { requests: 1_000, atOnce: 50 },
} as const;

type Load = keyof typeof loads;
type Get = () => Promise<string>;

const body = JSON.stringify({ answer: 'Water boils at 100 °C at sea level. '.repeat(20) });

const sides = { ours, undici } as const;
type Side = keyof typeof sides;

interface Took {
  readonly workUs: number;
  readonly wallUs: number;
}

/**
 * What does a request cost over a pool of ours, next to undici's own? Each side and the server have a process of their own: who
 * listens to undici's channels makes all requests of the process slower, the peer's as well.
 */
export async function pooledRequests(): Promise<Outcome> {
  const server = start('server');
  const url = String(await answerOf(server));
  const clients = { ours: start('ours', url), undici: start('undici', url) };
  const ratios: Record<string, number> = {};
  const values: Record<string, number> = {};
  try {
    for (const client of Object.values(clients)) await answerOf(client);
    for (const load of Object.keys(loads) as Load[]) {
      const took = await contest(clients, load);
      const work = took.ours.workUs / took.undici.workUs;
      const wall = took.ours.wallUs / took.undici.wallUs;
      ratios[load] = rounded(work);
      values[`${load.replace(/\/.*/, '')}.us`] = rounded(took.ours.workUs);
      values[`${load}.wall`] = rounded(wall);
      console.log(
        `${load}: ${took.ours.workUs.toFixed(1)} µs of work a request, ${took.undici.workUs.toFixed(1)} of the peer's ` +
          `(${work.toFixed(2)}); on the wall ${took.ours.wallUs.toFixed(1)} and ${took.undici.wallUs.toFixed(1)} (${wall.toFixed(2)})`,
      );
    }
  } finally {
    for (const child of [server, ...Object.values(clients)]) child.process.kill();
  }
  return { ratios, values };
}

/** Rounds that alternate; what counts is the median. */
async function contest(clients: Readonly<Record<Side, Child>>, load: Load): Promise<Record<Side, Took>> {
  const took: Record<Side, Took[]> = { ours: [], undici: [] };
  for (let round = -warmUpRounds; round < rounds; round++) {
    const order: readonly Side[] = round % 2 === 0 ? ['ours', 'undici'] : ['undici', 'ours'];
    for (const side of order) {
      clients[side].process.send(load);
      const answer = (await answerOf(clients[side])) as Took;
      if (round >= 0) took[side].push(answer);
    }
  }
  return { ours: median(took.ours), undici: median(took.undici) };
}

function median(took: readonly Took[]): Took {
  const middle = (key: keyof Took): number =>
    took.map((each) => each[key]).toSorted((one, other) => one - other)[took.length >> 1] ?? Number.NaN;
  return { workUs: middle('workUs'), wallUs: middle('wallUs') };
}

interface Child {
  readonly process: ChildProcess;
  readonly ended: AbortSignal;
}

function start(...args: readonly string[]): Child {
  const child = fork(fileURLToPath(import.meta.url), args);
  const ending = new AbortController();
  child.once('exit', (code) => ending.abort(new Error(`A process of the benchmark has ended with ${code}`)));
  return { process: child, ended: ending.signal };
}

/** @throws when the process ends instead */
async function answerOf(child: Child): Promise<unknown> {
  const [message] = await once(child.process, 'message', { signal: child.ended });
  return message;
}

function ours(url: string): Get {
  const pool = createHttpPool({ name: 'bench', baseUrl: url, connections });
  return async () => (await pool.request('/answer')).text();
}

function undici(url: string): Get {
  const pool = new Pool(url, { connections, pipelining: 1, headersTimeout: 0, keepAliveTimeout: 45_000 });
  return async () => (await pool.request({ path: '/answer', method: 'GET' })).body.text();
}

async function run(get: Get, { requests, atOnce }: (typeof loads)[Load]): Promise<Took> {
  let left = requests;
  const one = async (): Promise<void> => {
    while (left-- > 0) if ((await get()).length !== body.length) throw new Error('A body is not what was sent');
  };
  const wall = performance.now();
  const work = process.threadCpuUsage();
  await Promise.all(Array.from({ length: atOnce }, one));
  const { user, system } = process.threadCpuUsage(work);
  return { workUs: (user + system) / requests, wallUs: ((performance.now() - wall) * 1_000) / requests };
}

function serve(): void {
  const server = createServer((_, response) => response.setHeader('content-type', 'application/json').end(body));
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1', () => process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
}

if (import.meta.main) {
  const [role = '', url = ''] = process.argv.slice(2);
  if (role === 'server') serve();
  const side = (Object.keys(sides) as Side[]).find((each) => each === role);
  if (side) {
    const get = sides[side](url);
    process.on('message', async (load: Load) => process.send?.(await run(get, loads[load])));
    process.send?.('ready');
  }
}
