import { type OwnRedis, startOwnRedis, steadyPort, until } from './redis-servers.js';

/** Three masters that share the slots evenly, in the order of the slots. */
export interface RedisCluster {
  readonly nodes: readonly OwnRedis[];
  readonly urls: readonly string[];
  /** The node on which this key lies. */
  nodeOf(key: string): Promise<OwnRedis>;
  stop(): Promise<void>;
}

const nodeCount = 3;
const slotCount = 16_384;
/** Its own folder of a node: without it a node that restarts has forgotten its slots. */
const nodesFile = 'nodes.conf';

/**
 * Takes two seconds: so long does a master that has just started refuse to take part.
 *
 * @param settings for all nodes, as `cluster-require-full-coverage` for what the others do when one is down
 */
export async function startRedisCluster(
  settings: Readonly<Record<string, string | number>> = {},
): Promise<RedisCluster> {
  const starts = Array.from({ length: nodeCount }, async () => {
    const busPort = await steadyPort();
    const ofCluster = {
      'cluster-enabled': 'yes',
      'cluster-config-file': nodesFile,
      'cluster-port': busPort,
      'cluster-node-timeout': 2_000,
    };
    const node = await startOwnRedis({ settings: { ...ofCluster, ...settings }, keep: [nodesFile] });
    return { node, busPort };
  });
  const started = await Promise.all(starts);
  const nodes = started.map(({ node }) => node);
  const firstSlot = (index: number): number => Math.ceil((index * slotCount) / nodeCount);
  await Promise.all(
    nodes.map(async (node, index) => {
      const range = [firstSlot(index), firstSlot(index + 1) - 1].map(String);
      await node.command('CLUSTER', 'ADDSLOTSRANGE', ...range);
      for (const { node: other, busPort } of started.slice(index + 1)) {
        await node.command('CLUSTER', 'MEET', '127.0.0.1', String(other.port), String(busPort));
      }
    }),
  );
  await Promise.all(nodes.map((node) => until('the cluster is whole', () => isWhole(node))));
  return {
    nodes,
    urls: nodes.map((node) => node.url),
    async nodeOf(key) {
      const slot = Number(await started[0]?.node.command('CLUSTER', 'KEYSLOT', key));
      const owner = nodes.findLast((_, index) => firstSlot(index) <= slot);
      if (!owner) throw new Error(`Slot ${slot} is nobody's.`);
      return owner;
    },
    async stop() {
      await Promise.all(nodes.map((node) => node.kill()));
    },
  };
}

async function isWhole(node: OwnRedis): Promise<boolean> {
  const info = String(await node.command('CLUSTER', 'INFO'));
  return info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${nodeCount}`);
}
