import { request as httpRequest, type IncomingMessage } from 'node:http';
import { gunzipSync } from 'node:zlib';
import {
  BadGatewayException,
  BadRequestException,
  Body,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Header,
  HttpCode,
  HttpException,
  type INestApplication,
  Inject,
  Injectable,
  Logger,
  Param,
  Post,
  Res,
  SetMetadata,
  Sse,
  type Type,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { LimiterStore } from '@warmpath/core';
import { currentContext, WarmpathError } from '@warmpath/core/kernel';
import { breaker, fallback, retry } from '@warmpath/core/retry';
import { createFakeClock } from '@warmpath/core/testing';
import { Observable, of, Subject } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  Cached,
  GzipInterceptor,
  ProblemFilter,
  RateLimited,
  StreamInterceptor,
  WarmpathModule,
  type WarmpathModuleOptions,
  WithFallback,
} from './index.js';

const platforms = [
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
] as const;

const away = (): Promise<never> => Promise.reject(new Error('connection refused'));
const deadLimits: LimiterStore = {
  ...{ name: 'dead', take: away, settle: away, extend: away, peers: away },
  close: async () => {},
};

/** A promise that the test settles, for order without sleeping. */
function deferred<T = void>(): PromiseWithResolvers<T> {
  return Promise.withResolvers<T>();
}

describe.each(platforms)('over HTTP on %s', (_platform, adapter) => {
  let app: INestApplication | undefined;
  let origin = '';

  async function start(
    controller: Type<unknown>,
    options: WarmpathModuleOptions = {},
    set: (app: INestApplication) => void = () => {},
  ): Promise<void> {
    const imports = [WarmpathModule.forRoot({ tenant: (req) => req.headers['x-tenant'] as string, ...options })];
    const module = await Test.createTestingModule({ imports, controllers: [controller] }).compile();
    app = module.createNestApplication(adapter(), { logger: false });
    set(app);
    await app.listen(0, '127.0.0.1');
    origin = await app.getUrl();
  }
  afterEach(async () => {
    vi.restoreAllMocks();
    await app?.close();
    app = undefined;
  });

  /** Not with fetch, whose pool at once dials again when a request is aborted. */
  function leaveAfterFirstByte(path: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const request = httpRequest(`${origin}${path}`, { agent: false }, (answer) => {
      answer.once('data', () => {
        request.destroy();
        resolve();
      });
    });
    request.on('error', reject).end();
    return promise;
  }

  describe('the context of a request', () => {
    let left = deferred<unknown>();
    let begun = deferred();
    beforeEach(() => {
      left = deferred();
      begun = deferred();
    });

    @Controller()
    class ContextController {
      @Get('tenant')
      tenant(): unknown {
        return { tenant: currentContext()?.tenant ?? null, signal: currentContext()?.signal?.aborted ?? null };
      }
      @Get('prefixed')
      prefixed(): unknown {
        return this.tenant();
      }
      @Post('tenant')
      async posted(@Body() body: unknown): Promise<unknown> {
        await new Promise((resolve) => setImmediate(resolve));
        return { tenant: currentContext()?.tenant ?? null, body };
      }
      @Get('retries')
      retries(): unknown {
        return { retries: currentContext()?.callerRetries ?? null };
      }
      @Get('deadline')
      deadline(): unknown {
        return { deadline: currentContext()?.deadline ?? null };
      }
      @Get('wait')
      async wait(): Promise<unknown> {
        const { signal } = currentContext() ?? {};
        signal?.addEventListener('abort', () => left.resolve(signal.reason));
        begun.resolve();
        throw await left.promise;
      }
    }

    it('has its tenant and a live signal, also after a body has been read', async () => {
      await start(ContextController);
      const headers = { 'x-tenant': 'acme' };
      expect(await (await fetch(`${origin}/tenant`, { headers })).json()).toEqual({ tenant: 'acme', signal: false });
      expect(await (await fetch(`${origin}/tenant`)).json()).toEqual({ tenant: null, signal: false });
      const body = JSON.stringify({ text: 'x'.repeat(70_000) });
      const posted = await fetch(`${origin}/tenant`, {
        method: 'POST',
        body,
        headers: { ...headers, 'content-type': 'application/json' },
      });
      expect(await posted.json()).toEqual({ tenant: 'acme', body: JSON.parse(body) });
    });

    it('is there below a global prefix and for routes that are excluded from it', async () => {
      await start(ContextController, {}, (nest) => nest.setGlobalPrefix('api/v1', { exclude: ['wait', 'tenant'] }));
      const headers = { 'x-tenant': 'acme' };
      expect(await (await fetch(`${origin}/tenant`, { headers })).json()).toMatchObject({ tenant: 'acme' });
      expect(await (await fetch(`${origin}/api/v1/prefixed`, { headers })).json()).toMatchObject({ tenant: 'acme' });
    });

    it('has its signal aborted when the client leaves, which no log calls an error', async () => {
      const errors = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await start(ContextController, {}, (nest) => nest.useGlobalFilters(new ProblemFilter()));
      const client = httpRequest(`${origin}/wait`, { agent: false });
      client.on('error', () => undefined).end();
      await begun.promise;
      client.destroy();
      expect(await left.promise).toMatchObject({ name: 'AbortError' });
      await app?.close();
      expect(errors).not.toHaveBeenCalled();
    });

    it.each([
      ['a promise', async () => 'acme'],
      ['a promise', () => Promise.reject(new Error('no such tenant'))],
      ['a list', () => ['acme', 'globex']],
      ['a number', () => 7],
    ])('answers 500 and logs it when the tenant is %s, not a string', async (what, tenant) => {
      const errors = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await start(ContextController, { tenant: tenant as never }, (nest) => nest.useGlobalFilters(new ProblemFilter()));
      const answer = await fetch(`${origin}/tenant`);
      expect([answer.status, await answer.json()]).toMatchObject([500, { code: 'WP_BAD_OPTION' }]);
      expect(errors.mock.calls).toEqual([
        [
          expect.objectContaining({
            message: `WarmpathModule: the function 'tenant' must return a string or undefined, and returned ${what}.`,
          }),
        ],
      ]);
    });

    it('says so in the log without a filter of ours too', async () => {
      const errors = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await start(ContextController, { tenant: (() => 7) as never });
      expect((await fetch(`${origin}/tenant`)).status).toBe(500);
      expect(errors).toHaveBeenCalledTimes(1);
    });

    it('takes an empty tenant for none', async () => {
      await start(ContextController, { tenant: () => '' });
      expect(await (await fetch(`${origin}/tenant`)).json()).toEqual({ tenant: null, signal: false });
    });

    it('has the deadline that the timeout of the module says', async () => {
      const clock = createFakeClock();
      await clock.advance(1_000);
      await start(ContextController, { clock, timeout: '30s' });
      expect(await (await fetch(`${origin}/deadline`)).json()).toEqual({ deadline: 31_000 });
    });

    it('knows how often an SDK has asked before', async () => {
      await start(ContextController);
      const told = async (count: string): Promise<unknown> =>
        (await fetch(`${origin}/retries`, { headers: { 'x-stainless-retry-count': count } })).json();
      expect([await told('2'), await told('-2')]).toEqual([{ retries: 2 }, { retries: null }]);
    });

    it('has no deadline unless the module has a timeout', async () => {
      await start(ContextController);
      expect(await (await fetch(`${origin}/deadline`)).json()).toEqual({ deadline: null });
    });

    it('answers with an error when the tenant cannot be told', async () => {
      await start(ContextController, {
        tenant: () => {
          throw new HttpException('no tenant', 400);
        },
      });
      expect((await fetch(`${origin}/tenant`)).status).toBeGreaterThanOrEqual(400);
    });
  });

  describe('decorators on controllers and what they call', () => {
    @Injectable()
    class RoleGuard implements CanActivate {
      readonly #reflector: Reflector;
      constructor(@Inject(Reflector) reflector: Reflector) {
        this.#reflector = reflector;
      }
      canActivate(context: ExecutionContext): boolean {
        const role = this.#reflector.get<string | undefined>('role', context.getHandler());
        return role === undefined || context.switchToHttp().getRequest().headers['x-role'] === role;
      }
    }

    @Controller()
    @UseGuards(RoleGuard)
    class PolicyController {
      #calls = 0;

      @Get('above')
      @SetMetadata('role', 'admin')
      @Cached()
      async above(): Promise<object> {
        return { calls: ++this.#calls };
      }

      @Cached({ key: (id: string) => id })
      @Get('below/:id')
      @SetMetadata('role', 'admin')
      async below(@Param('id') id: string): Promise<object> {
        return { id, calls: ++this.#calls };
      }

      @Get('limited')
      @RateLimited({ limit: 1, window: '1h' })
      async limited(): Promise<object> {
        return { fine: true };
      }

      @Get('named')
      @RateLimited({ limit: 1, window: '1h', name: 'uploads' })
      async named(): Promise<object> {
        return { fine: true };
      }

      @Get('untold')
      @RateLimited({ limit: 1, window: '1h', store: deadLimits, onStoreError: 'refuse' })
      async untold(): Promise<object> {
        return { fine: false };
      }

      @Get('mended')
      @WithFallback({ to: () => ({ mended: true }) })
      @RateLimited({ limit: 1, window: '1h' })
      async mended(): Promise<object> {
        return { mended: false };
      }
    }

    it('leave guards, parameters and routes in force, above and below', async () => {
      await start(PolicyController);
      for (const path of ['above', 'below/7']) {
        expect((await fetch(`${origin}/${path}`)).status).toBe(403);
        const first = await fetch(`${origin}/${path}`, { headers: { 'x-role': 'admin' } });
        const second = await fetch(`${origin}/${path}`, { headers: { 'x-role': 'admin' } });
        expect([first.status, second.status]).toEqual([200, 200]);
        expect(await second.json()).toEqual(await first.json());
      }
    });

    it('answer past the limit with 429, Retry-After and the RateLimit fields', async () => {
      await start(PolicyController);
      const allowed = await fetch(`${origin}/limited`);
      expect([allowed.status, allowed.headers.get('retry-after')]).toEqual([200, null]);
      const refused = await fetch(`${origin}/limited`);
      expect(refused.status).toBe(429);
      expect(refused.headers.get('retry-after')).toBe('3600');
      expect(refused.headers.get('ratelimit')).toBe('"default";r=0;t=3600');
      expect(refused.headers.get('ratelimit-policy')).toBe('"default";q=1;w=3600');
      expect(await refused.json()).toMatchObject({ statusCode: 429, error: 'Too Many Requests' });
    });

    it('call a limit by its own name where it has one, and tell clients nothing of classes and methods', async () => {
      await start(PolicyController);
      for (const path of ['limited', 'named']) await fetch(`${origin}/${path}`);
      const named = await fetch(`${origin}/named`);
      expect(named.headers.get('ratelimit-policy')).toBe('"uploads";q=1;w=3600');
      for (const refused of [named, await fetch(`${origin}/limited`)]) {
        expect(refused.status).toBe(429);
        expect(JSON.stringify([...refused.headers, await refused.text()])).not.toContain('Controller');
      }
    });

    it('keep those fields with a filter of the app, here that for problem documents', async () => {
      await start(PolicyController, {}, (nest) => nest.useGlobalFilters(new ProblemFilter()));
      await fetch(`${origin}/limited`);
      const refused = await fetch(`${origin}/limited`);
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '3600']);
      expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/);
      expect(await refused.json()).toEqual({
        type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
        title: 'Too many requests',
        status: 429,
        detail: 'The limit is 1 in 3600 s. Try again in 3600 s.',
        'violated-policies': ['default'],
      });
    });

    it.each([
      ['without a filter', [], { statusCode: 503, error: 'Service Unavailable' }],
      [
        'with that for problem documents',
        [new ProblemFilter()],
        { status: 503, type: 'https://iana.org/assignments/http-problem-types#temporary-reduced-capacity' },
      ],
    ])('answer with 503 and Retry-After where nobody can tell, %s', async (_how, filters, body) => {
      await start(PolicyController, {}, (nest) => nest.useGlobalFilters(...filters));
      const refused = await fetch(`${origin}/untold`);
      expect(refused.status).toBe(503);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
      expect(refused.headers.get('ratelimit-policy')).toBe('"default";q=1;w=3600');
      expect(await refused.json()).toMatchObject(body);
    });

    it('send none of them when a fallback has mended the refusal', async () => {
      await start(PolicyController);
      await fetch(`${origin}/mended`);
      const mended = await fetch(`${origin}/mended`);
      expect([mended.status, mended.headers.get('retry-after')]).toEqual([200, null]);
      expect(await mended.json()).toEqual({ mended: true });
    });
  });

  describe('ProblemFilter', () => {
    @Controller()
    class FailingController {
      @Get('begun')
      @Header('Content-Encoding', 'br')
      begun(): never {
        throw new HttpException('There is no such image.', 404);
      }

      @Get('invalid')
      invalid(): never {
        throw new BadRequestException(['name must be a string', 'size must not be less than 1']);
      }

      @Get('open')
      async open(): Promise<unknown> {
        const gpt = breaker({ clock: createFakeClock(), random: () => 0, consecutive: 1 });
        gpt.record({ ok: false });
        return gpt(() => 'never');
      }

      @Get('held')
      async held(): Promise<unknown> {
        const gpt = breaker();
        gpt.open();
        return gpt(() => 'never');
      }

      @Get('chain')
      async chain(): Promise<unknown> {
        const down = (): Promise<never> => Promise.reject(new Error('The model is down.'));
        return fallback()([
          { name: 'gpt', run: (call) => retry({ attempts: 1 })(down, call) },
          { name: 'local', run: () => Promise.reject(new BadGatewayException('No model answers.')) },
        ]);
      }

      @Get('upstream')
      upstream(): never {
        throw Object.assign(new Error('Incorrect API key sk-1234'), { status: 401 });
      }

      @Post('body')
      body(): string {
        return 'read';
      }
    }
    const withFilter = () => start(FailingController, {}, (nest) => nest.useGlobalFilters(new ProblemFilter()));

    it('takes back what a route said of the answer that it could not give', async () => {
      await withFilter();
      const answer = await fetch(`${origin}/begun`);
      expect([answer.status, answer.headers.get('cache-control'), answer.headers.get('content-encoding')]).toEqual([
        404,
        'no-store',
        null,
      ]);
      expect(await answer.json()).toMatchObject({ status: 404, detail: 'There is no such image.' });
    });

    it('tells all that a validation has found', async () => {
      await withFilter();
      const answer = await fetch(`${origin}/invalid`);
      expect([answer.status, await answer.json()]).toMatchObject([
        400,
        { status: 400, detail: 'name must be a string; size must not be less than 1' },
      ]);
    });

    it("keeps another service's refusal to itself, and logs it", async () => {
      const errors = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await withFilter();
      const answer = await fetch(`${origin}/upstream`);
      expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([500, 'false']);
      expect(await answer.text()).not.toMatch(/sk-1234|shouldRetry/);
      expect(errors).toHaveBeenCalledTimes(1);
    });

    it('answers 503 and when to come back where a breaker is open', async () => {
      vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await withFilter();
      for (const [path, retryAfter] of [
        ['open', '10'],
        ['held', null],
      ]) {
        const answer = await fetch(`${origin}/${path}`);
        expect([answer.status, answer.headers.get('retry-after'), answer.headers.get('x-should-retry')]).toEqual([
          ...[503, retryAfter, null],
        ]);
        expect(await answer.json()).toMatchObject({ code: 'WP_BREAKER_OPEN' });
      }
    });

    it('tells of a chain of which every step has failed what the last one says, and asks SDKs to stay away', async () => {
      vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await withFilter();
      const answer = await fetch(`${origin}/chain`);
      expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([502, 'false']);
      expect(await answer.json()).toMatchObject({ status: 502, detail: 'No model answers.' });
    });

    it("passes on what the platform's body parser says", async () => {
      await withFilter();
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${origin}/body`, { method: 'POST', headers, body: '{"broken' });
      expect([answer.status, answer.headers.get('content-type')]).toEqual([
        400,
        expect.stringMatching(/^application\/problem\+json/),
      ]);
    });
  });

  describe('StreamInterceptor', () => {
    const more = new Map<string, PromiseWithResolvers<void>>();
    const gate = (name: string): PromiseWithResolvers<void> => {
      const known = more.get(name) ?? deferred();
      more.set(name, known);
      return known;
    };
    const closed = vi.fn();

    @Controller()
    @UseInterceptors(StreamInterceptor)
    class StreamController {
      @Get('no-event')
      @UseInterceptors(new StreamInterceptor({ toEvent: (data) => ({ data }) as never }))
      async *noEvent(): AsyncGenerator<unknown> {
        yield 7;
      }

      @Get('chunks')
      async *chunks(): AsyncGenerator<unknown> {
        yield 'first';
        await gate('chunks').promise;
        yield { type: 'text', text: 'two\nlines' };
        yield { data: { n: 3 }, type: 'third', id: 3, retry: 1_000 };
      }

      @Get('tenant')
      async *tenant(): AsyncGenerator<unknown> {
        yield currentContext()?.tenant;
        await new Promise((resolve) => setImmediate(resolve));
        yield currentContext()?.tenant;
      }

      @Post('posted')
      @HttpCode(200)
      async posted(@Body() body: { n: number }): Promise<AsyncIterable<unknown>> {
        async function* count(): AsyncGenerator<unknown> {
          for (let n = 1; n <= body.n; n++) yield `${n} for ${currentContext()?.tenant}`;
        }
        return count();
      }

      @Get('early')
      async *early(): AsyncGenerator<unknown> {
        if (more.size >= 0) throw new HttpException('not today', 418);
        yield 'never';
      }

      @Get('late')
      async *late(): AsyncGenerator<unknown> {
        yield 'one';
        throw new WarmpathError('WP_MODEL_RESPONSE', 'the model stuttered');
      }

      @Get('leave')
      async *leave(): AsyncGenerator<unknown> {
        try {
          yield 'one';
          await new Promise((_resolve, reject) => {
            const signal = currentContext()?.signal;
            signal?.addEventListener('abort', () => reject(signal.reason));
          });
        } finally {
          closed();
          gate('left').resolve();
        }
      }

      @Get('observable')
      observable(): Observable<unknown> {
        const subject = new Subject<unknown>();
        void gate('observable').promise.then(() => {
          subject.next('two');
          subject.complete();
        });
        return new Observable((subscriber) => {
          subscriber.next('one');
          return subject.subscribe(subscriber);
        });
      }

      @Get('observable-left')
      observableLeft(): Observable<unknown> {
        return new Observable((subscriber) => {
          subscriber.next('one');
          return () => gate('unsubscribed').resolve();
        });
      }

      @Get('at-once')
      atOnce(): Observable<unknown> {
        return of('one', 'two');
      }

      @Get('unprintable')
      async *unprintable(): AsyncGenerator<unknown> {
        yield 1n;
      }

      @Get('empty')
      async *empty(): AsyncGenerator<unknown> {}

      @Get('plain')
      plain(): unknown {
        return { plain: true };
      }

      @Get('single')
      single(): Observable<unknown> {
        return of({ single: true });
      }

      @Sse('sse')
      sse(): Observable<unknown> {
        return of({ data: 'by Nest' }, { data: 'too' });
      }

      @Get('own')
      own(@Res() response: { send(body: unknown): void }): void {
        response.send({ own: true });
      }
    }

    it('sends each chunk as it comes, as an event', async () => {
      more.clear();
      await start(StreamController);
      const answer = await fetch(`${origin}/chunks`);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
      const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
      const decoder = new TextDecoder();
      expect(decoder.decode((await reader.read()).value)).toBe('data: first\n\n');
      gate('chunks').resolve();
      let rest = '';
      for (let next = await reader.read(); !next.done; next = await reader.read()) rest += decoder.decode(next.value);
      expect(rest).toBe(
        'data: {"type":"text","text":"two\\nlines"}\n\n' + 'event: third\nid: 3\nretry: 1000\ndata: {"n":3}\n\n',
      );
    });

    it('runs the source in the context of its request, also for posted bodies', async () => {
      await start(StreamController);
      const headers = { 'x-tenant': 'acme' };
      expect(await (await fetch(`${origin}/tenant`, { headers })).text()).toBe('data: acme\n\ndata: acme\n\n');
      const posted = await fetch(`${origin}/posted`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: '{"n":2}',
      });
      expect([posted.status, await posted.text()]).toEqual([200, 'data: 1 for acme\n\ndata: 2 for acme\n\n']);
    });

    it.each(['unprintable', 'no-event'])(
      'answers with a status when the first chunk cannot be sent: %s',
      async (path) => {
        await start(StreamController);
        expect((await fetch(`${origin}/${path}`)).status).toBe(500);
      },
    );

    it('lets a failure before the first chunk keep its status', async () => {
      await start(StreamController);
      const answer = await fetch(`${origin}/early`);
      expect(answer.status).toBe(418);
      expect(await answer.json()).toMatchObject({ message: 'not today' });
    });

    it('sends a failure after the first chunk as an event named error, and logs it once', async () => {
      const errors = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await start(StreamController);
      const answer = await fetch(`${origin}/late`);
      expect(answer.status).toBe(200);
      const text = await answer.text();
      expect(text).toContain('data: one\n\nevent: error\ndata: ');
      expect(text).toContain('"code":"WP_MODEL_RESPONSE"');
      await app?.close(); // by now all that there is to log is logged
      app = undefined;
      expect(errors.mock.calls).toEqual([[expect.objectContaining({ message: 'the model stuttered' })]]);
    });

    it('ends the source when the client leaves', async () => {
      more.clear();
      closed.mockClear();
      const errors = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await start(StreamController);
      await leaveAfterFirstByte('/leave');
      await gate('left').promise;
      expect(closed).toHaveBeenCalledOnce();
      await app?.close();
      app = undefined;
      expect(errors).not.toHaveBeenCalled();
    });

    it('streams an Observable, and unsubscribes when the client leaves', async () => {
      more.clear();
      await start(StreamController);
      const answer = await fetch(`${origin}/observable`);
      expect(answer.headers.get('content-type')).toContain('text/event-stream');
      gate('observable').resolve();
      expect(await answer.text()).toBe('data: one\n\ndata: two\n\n');

      await leaveAfterFirstByte('/observable-left');
      await gate('unsubscribed').promise;
      expect(await (await fetch(`${origin}/at-once`)).text()).toBe('data: one\n\ndata: two\n\n');
    });

    it('passes everything else', async () => {
      await start(StreamController);
      expect(await (await fetch(`${origin}/plain`)).json()).toEqual({ plain: true });
      expect(await (await fetch(`${origin}/single`)).json()).toEqual({ single: true });
      expect(await (await fetch(`${origin}/own`)).json()).toEqual({ own: true });
      expect((await (await fetch(`${origin}/sse`)).text()).match(/^data: .*$/gm)).toEqual([
        'data: by Nest',
        'data: too',
      ]);
      const empty = await fetch(`${origin}/empty`);
      expect([empty.status, empty.headers.get('content-type'), await empty.text()]).toEqual([
        200,
        'text/event-stream; charset=utf-8',
        '',
      ]);
    });

    it('bears an interceptor outside that wraps values, and logs nothing', async () => {
      const errors = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await start(StreamController, {}, (nest) =>
        nest.useGlobalInterceptors({
          intercept: (_context, next) => {
            return new Observable((subscriber) =>
              next.handle().subscribe({
                next: (data) => subscriber.next({ data }),
                error: (error) => subscriber.error(error),
                complete: () => subscriber.complete(),
              }),
            );
          },
        }),
      );
      expect(await (await fetch(`${origin}/at-once`)).text()).toBe('data: one\n\ndata: two\n\n');
      expect(await (await fetch(`${origin}/plain`)).json()).toEqual({ data: { plain: true } });
      expect(errors).not.toHaveBeenCalled();
    });

    it('ends open streams when the app shuts down, so that it can', async () => {
      more.clear();
      const errors = vi.spyOn(Logger.prototype, 'error').mockImplementation(() => undefined);
      await start(StreamController);
      const answer = await fetch(`${origin}/leave`);
      const ending = app?.close();
      expect(await answer.text()).toContain('event: error\ndata: {"type":"urn:warmpath:WP_CLOSED"');
      await ending;
      app = undefined;
      expect(errors).not.toHaveBeenCalled();
    });
  });

  describe('GzipInterceptor', () => {
    const go = deferred();

    @Controller()
    @UseInterceptors(GzipInterceptor, StreamInterceptor)
    class GzipController {
      @Get('large')
      large(): unknown {
        return { text: 'warm '.repeat(2_000) };
      }
      @Get('small')
      small(): unknown {
        return { text: 'warm' };
      }
      @Get('range')
      @Header('Content-Range', 'bytes 0-9999/20000')
      range(): unknown {
        return { text: 'warm '.repeat(2_000) };
      }
      @Get('failed')
      failed(): unknown {
        throw new HttpException({ text: 'cold '.repeat(2_000) }, 500);
      }
      @Get('events')
      async *events(): AsyncGenerator<string> {
        yield 'first';
        await go.promise;
        yield 'second';
      }
    }

    function raw(path: string, encoding: string): Promise<{ headers: IncomingMessage['headers']; body: Buffer }> {
      const { promise, resolve, reject } = Promise.withResolvers<{
        headers: IncomingMessage['headers'];
        body: Buffer;
      }>();
      httpRequest(`${origin}${path}`, { headers: { 'accept-encoding': encoding } }, async (answer) => {
        const body = Buffer.concat(await answer.toArray());
        resolve({ headers: answer.headers, body });
      })
        .on('error', reject)
        .end();
      return promise;
    }

    it('compresses what is large enough, errors of handlers too', async () => {
      await start(GzipController);
      const { headers, body } = await raw('/large', 'gzip');
      expect(headers['content-encoding']).toBe('gzip');
      expect(headers.vary).toContain('Accept-Encoding');
      expect(body.length).toBeLessThan(500);
      expect(JSON.parse(String(gunzipSync(body)))).toEqual({ text: 'warm '.repeat(2_000) });
      expect((await raw('/large', 'br')).headers['content-encoding']).toBe('br');
      expect((await raw('/failed', 'gzip')).headers['content-encoding']).toBe('gzip');
    });

    it('leaves what is small, ranges, and clients that do not ask', async () => {
      await start(GzipController);
      expect((await raw('/range', 'gzip')).headers['content-encoding']).toBeUndefined();
      const small = await raw('/small', 'gzip');
      expect([small.headers['content-encoding'], String(small.body)]).toEqual([undefined, '{"text":"warm"}']);
      const plain = await raw('/large', 'identity');
      expect(plain.headers['content-encoding']).toBeUndefined();
      expect(JSON.parse(String(plain.body))).toEqual({ text: 'warm '.repeat(2_000) });
    });

    it('lets events through one by one', async () => {
      await start(GzipController);
      const answer = await fetch(`${origin}/events`, { headers: { 'accept-encoding': 'gzip' } });
      expect(answer.headers.get('content-encoding')).toBeNull();
      const reader = (answer.body as ReadableStream<Uint8Array>).getReader();
      expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: first\n\n');
      go.resolve();
      expect(new TextDecoder().decode((await reader.read()).value)).toBe('data: second\n\n');
    });
  });
});
