import { HttpProblem } from '@warmpath/express';
import type { RequestHandler } from 'express';

/** The names by which a browser on the same machine reaches an application that listens for it alone. */
const loopbackNames = ['localhost', '127.0.0.1', '[::1]'];

/**
 * The names that a request may ask for, without ports; undefined: any. An application that listens on a loopback address
 * trusts that whoever reaches it sits at this machine. A page elsewhere can break that by pointing its own name at
 * 127.0.0.1 (DNS rebinding), but its requests still carry that name.
 */
export function ownHosts(listensOn: string): readonly string[] | undefined {
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|::1)$/i.test(listensOn);
  return loopback ? [...loopbackNames, listensOn.toLowerCase()] : undefined;
}

/** Refuses what is meant for somebody else with 421 (RFC 9110, 15.5.20). */
export function refuseOtherHosts(hosts: readonly string[]): RequestHandler {
  return function otherHost(req, _res, next) {
    const name = req.headers.host?.toLowerCase().replace(/:\d*$/, '') ?? '';
    if (hosts.includes(name)) return next();
    throw new HttpProblem(
      421,
      'This is another host',
      `This application answers to ${loopbackNames.join(', ')}, not to '${name.slice(0, 100)}'. Start it with --host to have it answer others.`,
    );
  };
}
