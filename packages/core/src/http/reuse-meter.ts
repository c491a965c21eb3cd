import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { buildConnector, type DiagnosticsChannel } from 'undici';
import type { HttpPoolStats } from './http-pool.js';

/** Counts the requests that one pool sends, and the sockets that it opens for them. */
export interface ReuseMeter {
  /** Opens sockets as undici does and marks them as this pool's. */
  connector(options: { timeout: number }): buildConnector.connector;
  stats(): HttpPoolStats;
  stop(): void;
}

/**
 * undici's channels report for the whole process, and its own statistics count no idle sockets. So each pool opens its
 * sockets itself, and a request counts for the pool whose socket it is sent on.
 */
export function meterReuse(): ReuseMeter {
  const sockets = new WeakSet<object>();
  let requests = 0;
  let dials = 0;
  let reused = 0;
  const used = new WeakSet<object>();

  function onSend(message: unknown): void {
    const { socket } = message as DiagnosticsChannel.ClientSendHeadersMessage;
    if (!sockets.has(socket)) return;
    requests++;
    if (used.has(socket)) reused++;
    else used.add(socket);
  }
  subscribe('undici:client:sendHeaders', onSend);

  return {
    connector(options) {
      const connect = buildConnector(options);
      return (target, callback) =>
        connect(target, (...outcome) => {
          const [, socket] = outcome;
          if (socket) {
            sockets.add(socket);
            dials++;
          }
          callback(...outcome);
        });
    },
    stats: () => ({ requests, dials, reuse: requests === 0 ? 0 : reused / requests }),
    stop: () => unsubscribe('undici:client:sendHeaders', onSend),
  };
}
