import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express, { type Express } from 'express';
import { onTestFinished } from 'vitest';

/** Serves an app on a free port until the running test is over. @returns its address, without a slash at the end */
export async function serve(setUp: (app: Express) => void): Promise<string> {
  const app = express();
  setUp(app);
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
