import type { Request, Response } from 'express';
import ipaddr from 'ipaddr.js';
import { tenantOf } from './request-context.js';

/** One IPv6 customer commonly holds a /56, so counting single addresses would count nobody. */
const ipv6PrefixBits = 56;

let warned = false;

/** The tenant where one is known, else the client's address. */
export function clientKey(req: Request, res: Response): string {
  const tenant = tenantOf(res);
  if (tenant !== undefined) return `tenant:${tenant}`;
  warnOnHiddenClients(req);
  return addressKey(req.ip);
}

/** @param ip undefined once the client has left; all such requests count as one client, and nobody reads their answers */
export function addressKey(ip: string | undefined): string {
  const bare = withoutPort(ip ?? '');
  if (!ipaddr.isValid(bare)) return 'ip:unknown';
  const address = ipaddr.process(bare); // an IPv4 client seen through an IPv6 socket is its IPv4 address
  if (address.kind() === 'ipv4') return `ip:${address.toString()}`;
  const network = ipaddr.IPv6.networkAddressFromCIDR(`${address.toNormalizedString()}/${ipv6PrefixBits}`);
  return `ip:${network.toString()}/${ipv6PrefixBits}`;
}

/** Some proxies write the client's port into X-Forwarded-For, which Express takes for a part of the address. */
function withoutPort(address: string): string {
  const [, ipv6, ipv4] = /^(?:\[([^\]]*)\](?::\d+)?|([\d.]+):\d+)$/.exec(address) ?? [];
  return ipv6 ?? ipv4 ?? address;
}

/** Behind a proxy that Express does not trust, every client has the proxy's address and shares one limit. */
function warnOnHiddenClients(req: Request): void {
  if (warned || req.headers['x-forwarded-for'] === undefined || req.app.get('trust proxy') !== false) return;
  warned = true;
  process.emitWarning(
    "Requests carry X-Forwarded-For but Express' 'trust proxy' is off, so all clients behind the proxy share one rate " +
      "limit. Set app.set('trust proxy', <number of proxies>), or give rateLimit() a key of your own.",
    { code: 'WARMPATH_TRUST_PROXY' },
  );
}
