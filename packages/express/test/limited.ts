import { createWarmpath, type Warmpath } from '@warmpath/core';
import { createFakeClock, type FakeClock } from '@warmpath/core/testing';
import type { Express } from 'express';
import { problemHandler } from '../src/problem.js';
import type { RateLimitOptions } from '../src/rate-limit.js';
import { warmpath } from '../src/warmpath.js';
import { serve } from './serve.js';

/** An app that says ok to whatever its limits let through. */
export function answering(setUp: (app: Express) => void): Promise<string> {
  return serve((app) => {
    setUp(app);
    app.use((_req, res) => {
      res.send('ok');
    });
    app.use(problemHandler({ log: () => {} }));
  });
}

export interface Limited {
  readonly url: string;
  readonly clock: FakeClock;
  readonly runtime: Warmpath;
}

/** An app with one limit on a clock that stands still; `x-tenant` says who asks. */
export async function limited(options: RateLimitOptions, routes: (app: Express) => void = () => {}): Promise<Limited> {
  const clock = createFakeClock();
  const runtime = createWarmpath({ clock });
  const url = await answering((app) => {
    app.set('trust proxy', 1);
    app.use(warmpath({ runtime, rateLimit: options, tenant: (req) => req.get('x-tenant') }));
    routes(app);
  });
  return { url, clock, runtime };
}

/** One request after another, each with its headers. */
export async function statuses(url: string, ...clients: Record<string, string>[]): Promise<number[]> {
  const seen: number[] = [];
  for (const headers of clients) {
    const answer = await fetch(url, { headers });
    await answer.text();
    seen.push(answer.status);
  }
  return seen;
}
