import { type OwnRedis, startOwnRedis, until } from './redis-servers.js';

/** A master, its replica, and one Sentinel that is a quorum by itself and decides within a second or two. */
export interface SentinelPair {
  /** The name that the Sentinel knows the pair by. */
  readonly name: string;
  readonly sentinel: OwnRedis;
  /** The first master and the first replica, whatever they are by now. */
  readonly first: OwnRedis;
  readonly second: OwnRedis;
  master(): Promise<OwnRedis>;
  /**
   * By default the master is killed; `'freeze'` leaves one that does not know that it was replaced, and still takes writes
   * when it is thawed; `'order'` is what an operator does, with both alive.
   *
   * @returns the new master, when the Sentinel names it and it takes writes
   */
  failOver(how?: 'kill' | 'freeze' | 'order'): Promise<OwnRedis>;
  stop(): Promise<void>;
}

const name = 'warmpath';
const downAfterMs = 500;

export async function startSentinelPair(): Promise<SentinelPair> {
  const settings = { 'repl-diskless-sync-delay': 0, 'repl-timeout': 5 };
  const first = await startOwnRedis({ settings });
  const [second, sentinel] = await Promise.all([
    startOwnRedis({ settings: { ...settings, replicaof: `127.0.0.1 ${first.port}` } }),
    startOwnRedis({ words: ['sentinel.conf', '--sentinel'], files: { 'sentinel.conf': '' } }),
  ]);
  const servers = [first, second];
  const master = async (): Promise<OwnRedis> => {
    const address = await sentinel.command('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name);
    const found = servers.find((server) => String(server.port) === (address as readonly string[] | null)?.[1]);
    if (!found) throw new Error(`The Sentinel names a master that is not of the pair: ${address}`);
    return found;
  };

  // Else it takes ten seconds until the Sentinel knows the replica.
  await sentinel.command('SENTINEL', 'DEBUG', 'info-period', '100', 'publish-period', '200');
  await sentinel.command('SENTINEL', 'MONITOR', name, '127.0.0.1', String(first.port), '1');
  await sentinel.command('SENTINEL', 'SET', name, 'down-after-milliseconds', String(downAfterMs));
  await sentinel.command('SENTINEL', 'SET', name, 'failover-timeout', '3000');
  await until('the replica is in step, and the Sentinel knows that it is', async () => {
    if (!(await first.info()).get('slave0')?.includes('state=online')) return false;
    const [replica] = (await sentinel.command('SENTINEL', 'REPLICAS', name)) as readonly (readonly string[])[];
    return replica !== undefined && replica[replica.indexOf('master-link-status') + 1] === 'ok';
  });

  return {
    name,
    sentinel,
    first,
    second,
    master,
    async failOver(how = 'kill') {
      const before = await master();
      const next = before === first ? second : first;
      if (how === 'kill') await before.kill();
      else if (how === 'freeze') before.freeze();
      else await sentinel.command('SENTINEL', 'FAILOVER', name);
      await until('the other one is the master', async () => {
        return (await master()) === next && (await next.info()).get('role') === 'master';
      });
      return next;
    },
    async stop() {
      await Promise.all([sentinel, first, second].map((server) => server.kill()));
    },
  };
}
