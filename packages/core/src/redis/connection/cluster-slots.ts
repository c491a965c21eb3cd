import { slotCount } from './key-slot.js';

/** Which master has which slots; masters go by `<host>:<port>`, as the cluster knows them. */
export interface ClusterSlots {
  readonly masters: ReadonlySet<string>;
  ownerOf(slot: number): string | undefined;
}

/**
 * What `CLUSTER SLOTS` has answered (https://redis.io/docs/latest/commands/cluster-slots/).
 * @param askedHost who has answered: a server that does not know its own name has none
 */
export function parseSlots(reply: unknown, askedHost: string): ClusterSlots {
  const owners: (string | undefined)[] = Array.from({ length: slotCount });
  const masters = new Set<string>();
  for (const range of Array.isArray(reply) ? reply : []) {
    const [from, to, master] = range as [unknown, unknown, unknown];
    const [host, port] = Array.isArray(master) ? master : [];
    if (!Number.isInteger(from) || !Number.isInteger(to) || !Number.isInteger(port) || host === '?') continue;
    const address = `${host === null || String(host) === '' ? askedHost : host}:${port}`;
    masters.add(address);
    owners.fill(address, Number(from), Number(to) + 1);
  }
  return { masters, ownerOf: (slot) => owners[slot] };
}
