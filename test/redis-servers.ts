import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type RedisReply, redisCommand } from './redis-commands.js';
import { type RedisLaunch, redisBinary, startRedis } from './services.js';

/** A real Redis of a test's own, which may come to any harm. It keeps its port, and never outlives this process. */
export interface OwnRedis {
  readonly url: string;
  readonly port: number;
  command(...words: readonly string[]): Promise<RedisReply>;
  info(): Promise<ReadonlyMap<string, string>>;
  /** Until it is killed: after a restart it has the settings that it was started with. */
  configure(settings: Readonly<Record<string, string | number>>): Promise<void>;
  /** @returns what it holds now, for `restart` */
  save(): Promise<Uint8Array>;
  /** With -9. Resolves when it is dead. */
  kill(): Promise<void>;
  /** Its connections stay and new ones are taken by the system, but it answers nothing until it is thawed. */
  freeze(): void;
  thaw(): void;
  /** Kills it if it lives. Resolves when it answers again: empty, or with what it held when the snapshot was taken. */
  restart(snapshot?: Uint8Array): Promise<void>;
}

export interface OwnRedisOptions extends RedisLaunch {
  /** Files in its folder that stay over a restart. */
  readonly keep?: readonly string[];
}

/** @returns a note for Vitest's `skip` where the tests cannot have a Redis of their own */
export function whyNoOwnRedis(): string | undefined {
  const binary = redisBinary();
  if (!binary) return 'no redis-server is on the path, and the one of REDIS_URL is not ours to harm';
  const version = /v=(\d+)\S*/.exec(execFileSync(binary, ['--version'], { encoding: 'utf8' }));
  return Number(version?.[1]) >= 7 ? undefined : `${binary} is older than Redis 7 (${version?.[0]})`;
}

export async function startOwnRedis(options: OwnRedisOptions = {}): Promise<OwnRedis> {
  const binary = redisBinary();
  if (!binary) throw new Error(whyNoOwnRedis());
  const { keep = [], ...launch } = options;
  const port = await steadyPort();
  let server = await startRedis(binary, port, launch);
  let kept: Record<string, Uint8Array> = {};

  const command = (...words: readonly string[]): Promise<RedisReply> => redisCommand(port, ...words);
  const kill = async (): Promise<void> => {
    for (const name of keep) {
      const content = await readFile(join(server.folder, name)).catch(() => undefined);
      if (content) kept = { ...kept, [name]: content };
    }
    await server.stop();
  };
  return {
    url: server.url,
    port,
    command,
    kill,
    async info() {
      const text = String(await command('INFO', 'everything'));
      return new Map(Array.from(text.matchAll(/^([^#:\r\n]+):(.*)$/gm), ([, name = '', value = '']) => [name, value]));
    },
    async configure(settings) {
      await command('CONFIG', 'SET', ...Object.entries(settings).flat().map(String));
    },
    async save() {
      await command('SAVE');
      return readFile(join(server.folder, 'dump.rdb'));
    },
    freeze() {
      process.kill(server.pid, 'SIGSTOP');
    },
    thaw() {
      process.kill(server.pid, 'SIGCONT');
    },
    async restart(snapshot) {
      await kill();
      const found = { ...kept, ...(snapshot && { 'dump.rdb': snapshot }) };
      server = await startRedis(binary, port, { ...launch, files: { ...launch.files, ...found } });
    },
  };
}

const firstSteadyPort = 20_000;
const steadyPorts = 10_000;

/**
 * A free port that no outgoing connection is given: those of Linux begin at 32,768, those of others at 49,152. While a server
 * is down, a client that tries a port of that range again and again is connected to itself in the end.
 */
export async function steadyPort(): Promise<number> {
  for (;;) {
    const port = firstSteadyPort + Math.floor(Math.random() * steadyPorts);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

const patienceMs = 20_000;

/** Asks until it is so; what is thrown meanwhile counts as not yet. */
export async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  let last: unknown;
  while (performance.now() < giveUpAt) {
    const so = await isSo().catch((error: unknown) => {
      last = error;
      return false;
    });
    if (so) return;
    await pause(20);
  }
  throw new Error(`Still not so after ${patienceMs} ms: ${what}`, { cause: last });
}
