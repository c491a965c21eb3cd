import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createWarmpath, currentContext, WarmpathError } from '@warmpath/core';
import { retry } from '@warmpath/core/retry';
import { problemHandler, warmpath } from '@warmpath/express';
import express, { type RequestHandler } from 'express';
import OpenAI, { APIError } from 'openai';
import { describe, expect, it, onTestFinished } from 'vitest';

/** How long the client waits between its attempts is not the question here. */
async function hurried(...asked: Parameters<typeof fetch>): Promise<Response> {
  const { body, status, headers } = await fetch(...asked);
  return new Response(body, { status, headers: [...headers, ['retry-after-ms', '1']] });
}

/** A gateway that speaks OpenAI's protocol, and what its route knows each time it is asked. */
async function serve(route: RequestHandler): Promise<{ client: OpenAI; counts: unknown[] }> {
  const counts: unknown[] = [];
  const app = express();
  app.use(warmpath({ runtime: createWarmpath() }), (_req, _res, next) => {
    counts.push(currentContext()?.callerRetries);
    next();
  });
  app.post('/v1/chat/completions', route);
  app.use(problemHandler({ log: () => {} }));
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  return { client: new OpenAI({ apiKey: 'none', baseURL, fetch: hurried }), counts };
}

const failureOf = (client: OpenAI): Promise<unknown> =>
  client.chat.completions
    .create({ model: 'm', messages: [{ role: 'user', content: 'Hello?' }] })
    .catch((error: unknown) => error);

const down = (details = {}): WarmpathError =>
  new WarmpathError('WP_MODEL_REQUEST', 'The model is down.', {
    details: { status: 503, retryable: true, ...details },
  });

describe("OpenAI's client before an application of ours", () => {
  it('asks once where our own retries are spent: 2 attempts instead of 6', async () => {
    const ask = retry({ attempts: 2, baseDelay: 0 });
    let attempts = 0;
    const { client, counts } = await serve((_req, _res, next) => {
      ask(() => {
        attempts++;
        throw down();
      }).catch(next);
    });
    const error = await failureOf(client);
    expect(error).toBeInstanceOf(APIError);
    expect(error).toMatchObject({ status: 502 });
    expect(counts).toEqual([0]);
    expect(attempts).toBe(2);
  });

  it('asks once where the failure is permanent', async () => {
    const { client, counts } = await serve((_req, _res, next) => next(down({ status: 401, retryable: false })));
    expect(await failureOf(client)).toMatchObject({ status: 502 });
    expect(counts).toEqual([0]);
  });

  it('asks again by itself where nobody has tried again, and says how often it has', async () => {
    const { client, counts } = await serve((_req, _res, next) => next(down({ retryAfterMs: 1 })));
    expect(await failureOf(client)).toMatchObject({ status: 502 });
    expect(counts).toEqual([0, 1, 2]);
  });

  it('comes back after a refusal of the moment, though it went through a retry', async () => {
    const ask = retry({ attempts: 2, baseDelay: 0 });
    let asked = 0;
    const { client, counts } = await serve((_req, res, next) => {
      ask(() => {
        if (++asked === 1) throw new WarmpathError('WP_OVERLOADED', 'Full.', { details: { retryAfterMs: 1 } });
        return { choices: [] };
      }).then((answer) => res.json(answer), next);
    });
    expect(await failureOf(client)).toMatchObject({ choices: [] });
    expect(counts).toEqual([0, 1]);
  });
});
