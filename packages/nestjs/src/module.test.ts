import { Inject, Injectable, Logger, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { createWarmpath, type Warmpath } from '@warmpath/core';
import { createFakeClock } from '@warmpath/core/testing';
import { describe, expect, it, vi } from 'vitest';
import {
  Batched,
  InjectWarmpath,
  WARMPATH,
  WarmpathModule,
  type WarmpathModuleOptions,
  WarmpathRuntime,
  WithFallback,
} from './index.js';

const clock = createFakeClock();

@Injectable()
class Consumer {
  readonly byToken: Warmpath;
  readonly byClass: WarmpathRuntime;
  constructor(@InjectWarmpath() byToken: Warmpath, @Inject(WarmpathRuntime) byClass: WarmpathRuntime) {
    this.byToken = byToken;
    this.byClass = byClass;
  }
}

@Injectable()
class Settings {
  create(): WarmpathModuleOptions {
    return { clock };
  }
}

@Module({ providers: [Settings], exports: [Settings] })
class SettingsModule {}

describe('WarmpathModule', () => {
  it.each([
    ['forRoot()', () => WarmpathModule.forRoot({ clock })],
    [
      'forRootAsync() with useFactory',
      () =>
        WarmpathModule.forRootAsync({
          imports: [SettingsModule],
          inject: [Settings],
          useFactory: async (settings: Settings) => settings.create(),
        }),
    ],
    ['forRootAsync() with useClass', () => WarmpathModule.forRootAsync({ useClass: Settings })],
    [
      'forRootAsync() with useExisting',
      () => WarmpathModule.forRootAsync({ imports: [SettingsModule], useExisting: Settings }),
    ],
  ])('gives every module the runtime through %s', async (_name, warmpath) => {
    @Module({ providers: [Consumer] })
    class Feature {}
    const app = await Test.createTestingModule({ imports: [warmpath(), Feature] }).compile();
    const { byToken, byClass } = app.get(Consumer, { strict: false });
    expect(byToken.clock).toBe(clock);
    expect(byClass).toBe(byToken);
    await app.close();
  });

  it('takes no options at all', async () => {
    const app = await Test.createTestingModule({ imports: [WarmpathModule.forRoot()] }).compile();
    expect(app.get<Warmpath>(WARMPATH).snapshot()).toMatchObject({ caches: {} });
    await app.close();
  });

  it('can be kept to the modules that import it', async () => {
    @Module({ providers: [Consumer] })
    class Feature {}
    const local = Test.createTestingModule({ imports: [WarmpathModule.forRoot({ isGlobal: false }), Feature] });
    await expect(local.setLogger(false as never).compile()).rejects.toThrow("can't resolve dependencies");
  });

  it.each([
    [{ strikt: true }, "there is no option 'strikt'"],
    [{ strict: 'yes' }, "option 'strict' must be true or false"],
    [{ tenant: 'x-tenant' }, "option 'tenant' must be a function"],
    [{ timeout: 'soon' }, "option 'timeout' must be a duration above 0"],
    [{ timeout: 0 }, "option 'timeout' must be a duration above 0"],
    [{ cache: { ttl: -1 } }, "option 'ttl' must be"],
  ])('stops the start for %o', async (options, message) => {
    const start = async (): Promise<unknown> => {
      const app = await Test.createTestingModule({ imports: [WarmpathModule.forRoot(options as never)] }).compile();
      return app.get<Warmpath>(WARMPATH).cache('any', {});
    };
    await expect(start()).rejects.toThrow(message);
  });

  it.each([
    ['a substitute that is the method itself', 'again', "@WithFallback on Self.again: 'again' leads back to it"],
    ['a substitute that is not there', 'nope', "@WithFallback on Gone.again: there is no method 'nope'"],
    ['two substitutes for each other', 'other', "@WithFallback on Pair.again: 'other' leads back to it"],
  ])('stops the start for %s', async (_, to, message) => {
    class Self {
      @WithFallback({ to: 'again' })
      async again(): Promise<string> {
        throw new Error('down');
      }
    }
    class Gone {
      async again(): Promise<string> {
        throw new Error('down');
      }
    }
    // What does not compile can still be written in JavaScript.
    const descriptor = Object.getOwnPropertyDescriptor(Gone.prototype, 'again') as TypedPropertyDescriptor<never>;
    const missing = WithFallback({ to: 'nope' }) as unknown as MethodDecorator;
    Object.defineProperty(
      Gone.prototype,
      'again',
      (missing(Gone.prototype, 'again', descriptor) ?? descriptor) as object,
    );
    class Pair {
      @WithFallback({ to: 'other' })
      async again(): Promise<string> {
        throw new Error('down');
      }
      @WithFallback({ to: 'again' })
      async other(): Promise<string> {
        throw new Error('down too');
      }
    }
    const provider = { again: Self, nope: Gone, other: Pair }[to] as new () => object;
    const app = await Test.createTestingModule({
      imports: [WarmpathModule.forRoot()],
      providers: [provider],
    }).compile();
    await expect(app.init()).rejects.toThrow(message);
  });

  it('closes the runtime with the app: what waits is sent, what comes later refused', async () => {
    vi.spyOn(Logger.prototype, 'warn').mockImplementation(() => undefined);
    class Embedder {
      @Batched({ run: 'many', window: '1h' })
      async one(text: string): Promise<number> {
        return text.length;
      }
      async many(texts: string[]): Promise<number[]> {
        return texts.map((text) => text.length);
      }
    }
    const app = await Test.createTestingModule({
      imports: [WarmpathModule.forRoot()],
      providers: [Embedder],
    }).compile();
    await app.init();
    const embedder = app.get(Embedder);
    const waiting = embedder.one('four');
    await app.close();
    expect(await waiting).toBe(4);
    await expect(embedder.one('late')).rejects.toMatchObject({ code: 'WP_CLOSED' });
    vi.restoreAllMocks();
  });

  it('closes a runtime that a test has put in its place', async () => {
    const runtime = createWarmpath();
    const close = vi.spyOn(runtime, 'close');
    const app = await Test.createTestingModule({ imports: [WarmpathModule.forRoot()] })
      .overrideProvider(WARMPATH)
      .useValue(runtime)
      .compile();
    await app.init();
    await app.close();
    expect(close).toHaveBeenCalledOnce();
  });
});
