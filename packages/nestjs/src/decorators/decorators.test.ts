import { Inject, Injectable, Logger, type OnModuleInit, Scope, SetMetadata } from '@nestjs/common';
import { ModuleRef, Reflector } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { createWarmpath, type Warmpath } from '@warmpath/core';
import { createFakeClock } from '@warmpath/core/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Batched, bindWarmpath, Cached, RateLimited, WARMPATH, WarmpathModule, WithFallback } from '../index.js';

let log: string[] = [];
let warnings: string[] = [];

beforeEach(() => {
  log = [];
  warnings = [];
  vi.spyOn(Logger.prototype, 'warn').mockImplementation((message: unknown) => {
    warnings.push(String(message));
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

@Injectable()
class Shop {
  @Cached()
  async price(item: string): Promise<string> {
    log.push(`price ${item}`);
    return `${item}: 1`;
  }
}

const open: TestingModule[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((app) => app.close()));
});

async function start(providers: readonly unknown[], options: { withoutModule?: boolean } = {}): Promise<TestingModule> {
  const imports = options.withoutModule ? [] : [WarmpathModule.forRoot()];
  const app = await Test.createTestingModule({ imports, providers: providers as never[] }).compile();
  await app.init();
  open.push(app);
  return app;
}

describe('where the runtime comes from', () => {
  it('serves a singleton', async () => {
    const shop = (await start([Shop])).get(Shop);
    expect([await shop.price('tea'), await shop.price('tea'), await shop.price('rum')]).toEqual([
      'tea: 1',
      'tea: 1',
      'rum: 1',
    ]);
    expect(log).toEqual(['price tea', 'price rum']);
  });

  it('serves transient and request-scoped instances, which share one cache and stay as static as they were', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Transient extends Shop {}
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest extends Shop {}
    @Injectable()
    class Host {
      readonly shop: Transient;
      constructor(@Inject(Transient) shop: Transient) {
        this.shop = shop;
      }
    }
    const app = await start([Transient, PerRequest, Host]);
    await app.get(Host).shop.price('tea');
    await (await app.resolve(Transient)).price('tea');
    expect(log).toEqual(['price tea']);
    const [first, second] = [await app.resolve(PerRequest), await app.resolve(PerRequest)];
    expect(first).not.toBe(second);
    await first.price('rum');
    await second.price('rum');
    expect(log).toEqual(['price tea', 'price rum']);
    expect(app.get(Host)).toBeInstanceOf(Host); // static: get() refuses scoped providers
  });

  it('keeps two apps in one process apart', async () => {
    const [one, two] = [await start([Shop]), await start([Shop])];
    await one.get(Shop).price('tea');
    await two.get(Shop).price('tea');
    expect(log).toEqual(['price tea', 'price tea']);
    expect((one.get(WARMPATH) as Warmpath).snapshot().caches['Shop.price']?.misses).toBe(1);
    await one.close();
    expect(await two.get(Shop).price('tea')).toBe('tea: 1');
    expect(log).toHaveLength(2);
  });

  it('serves a call in the own onModuleInit of a provider', async () => {
    @Injectable()
    class Eager extends Shop implements OnModuleInit {
      async onModuleInit(): Promise<void> {
        await this.price('tea');
        await this.price('tea');
      }
    }
    await start([Eager]);
    expect(log).toEqual(['price tea']);
  });

  it('serves instances of moduleRef.create()', async () => {
    const shop = await (await start([])).get(ModuleRef, { strict: false }).create(Shop);
    await shop.price('tea');
    await shop.price('tea');
    expect(log).toEqual(['price tea']);
  });

  it('serves what useFactory (sync and async) and useValue bring', async () => {
    const value = new Shop();
    const app = await start([
      { provide: 'sync', useFactory: () => new Shop() },
      { provide: 'async', useFactory: async () => new Shop() },
      { provide: 'value', useValue: value },
    ]);
    for (const token of ['sync', 'async', 'value']) await app.get<Shop>(token).price('tea');
    expect(log).toEqual(['price tea']);
    await app.close();
    await value.price('tea');
    expect(log).toHaveLength(2); // the closed app has let go of it
  });

  it('serves an object made by hand once it is bound', async () => {
    const shop = bindWarmpath(new Shop(), createWarmpath());
    await shop.price('tea');
    await shop.price('tea');
    expect(log).toEqual(['price tea']);
  });

  it('lets a test override the runtime, with a clock of its own', async () => {
    const clock = createFakeClock();
    @Injectable()
    class Brief {
      @Cached({ ttl: '10s' })
      async now(): Promise<number> {
        return clock.now();
      }
    }
    const app = await Test.createTestingModule({ imports: [WarmpathModule.forRoot()], providers: [Brief] })
      .overrideProvider(WARMPATH)
      .useValue(createWarmpath({ clock }))
      .compile();
    open.push(app);
    const brief = app.get(Brief);
    expect(await brief.now()).toBe(0);
    await clock.advance(9_999);
    expect(await brief.now()).toBe(0);
    await clock.advance(1);
    expect(await brief.now()).toBe(10_000);
  });

  it('is found through a Proxy around the instance', async () => {
    const shop = new Proxy((await start([Shop])).get(Shop), { get: (target, name) => Reflect.get(target, name) });
    await shop.price('tea');
    await shop.price('tea');
    expect(log).toEqual(['price tea']);
  });
});

describe('without a runtime', () => {
  it('runs the bare method, warns once for each class, and works without WarmpathModule', async () => {
    class Bare extends Shop {}
    const shop = (await start([Bare], { withoutModule: true })).get(Bare);
    expect(await shop.price('tea')).toBe('tea: 1');
    expect(await shop.price('tea')).toBe('tea: 1');
    expect(log).toHaveLength(2);
    expect(warnings.filter((text) => text.includes('Bare.price runs without its @Cached'))).toHaveLength(1);
  });

  it('runs the bare method of a detached function and in the constructor', async () => {
    class Hasty {
      readonly early: Promise<string> = this.price('early');
      @Cached()
      async price(item: string): Promise<string> {
        return `${item}: 1`;
      }
    }
    const hasty = (await start([Hasty])).get(Hasty);
    expect(await hasty.early).toBe('early: 1');
    const { price } = hasty;
    expect(await price('tea')).toBe('tea: 1');
    expect(warnings).toHaveLength(1);
  });

  it('rejects with WP_MODULE_MISSING where a decorator is strict', async () => {
    class Strict {
      @Cached({ strict: true })
      async price(): Promise<number> {
        return 1;
      }
    }
    await expect(new Strict().price()).rejects.toMatchObject({ code: 'WP_MODULE_MISSING' });
  });
});

describe('classes', () => {
  class Base {
    readonly name: string = 'base';
    @Cached()
    async whose(): Promise<string> {
      log.push(`whose ${this.name}`);
      return this.name;
    }
  }

  it('share nothing when two of them inherit one method', async () => {
    class Left extends Base {
      override readonly name: string = 'left';
    }
    class Right extends Base {
      override readonly name: string = 'right';
    }
    const app = await start([Base, Left, Right]);
    const answers = [app.get(Base), app.get(Left), app.get(Right)].map((each) => each.whose());
    expect(await Promise.all(answers)).toEqual(['base', 'left', 'right']);
  });

  it('may override a decorated method and call super, each with a cache of its own', async () => {
    class Child extends Base {
      override readonly name: string = 'child';
      @Cached()
      override async whose(): Promise<string> {
        return `${await super.whose()}, overridden`;
      }
    }
    class Plain extends Base {
      override readonly name: string = 'plain';
      override async whose(): Promise<string> {
        return `${await super.whose()}, undecorated`;
      }
    }
    const app = await start([Child, Plain]);
    for (let round = 0; round < 2; round++) {
      expect(await app.get(Child).whose()).toBe('child, overridden');
      expect(await app.get(Plain).whose()).toBe('plain, undecorated');
    }
    expect(log).toEqual(['whose child', 'whose plain']);
    const { caches } = (app.get(WARMPATH) as Warmpath).snapshot();
    expect(Object.keys(caches).sort()).toEqual(['Child.whose', 'Child.whose(Base)', 'Plain.whose(Base)']);
  });

  it('of one name have caches of their own, with a warning', async () => {
    const make = (answer: string): (new () => { say(): Promise<string> }) => {
      class Twin {
        @Cached()
        async say(): Promise<string> {
          return answer;
        }
      }
      return Twin;
    };
    const [One, Two] = [make('one'), make('two')];
    const app = await start([One, Two]);
    expect([await app.get(One).say(), await app.get(Two).say()]).toEqual(['one', 'two']);
    expect(warnings.join()).toContain('2 decorated classes are called Twin');
  });

  it('that take one explicit name are refused at the start, subclasses of one method are not', async () => {
    class Named {
      @Cached({ name: 'shared-name' })
      async say(): Promise<string> {
        return this.constructor.name;
      }
    }
    class Sub extends Named {}
    class Thief {
      @Cached({ name: 'shared-name' })
      async say(): Promise<string> {
        return 'thief';
      }
    }
    const app = await start([Named, Sub]);
    expect([await app.get(Named).say(), await app.get(Sub).say()]).toEqual(['Named', 'Named']);
    await expect(start([Named, Thief])).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
  });

  it('cannot have our decorators on static methods or on what is no method', () => {
    class Target {}
    const descriptor = { value: async () => 1 };
    expect(() => Cached()(Target, 'make', descriptor)).toThrow('static');
    expect(() => Cached()(Target.prototype, 'size', { value: 1 } as never)).toThrow('is not a method');
  });
});

describe('transparency', () => {
  const Roles = (role: string): MethodDecorator => SetMetadata('role', role);

  class Guarded {
    @Roles('admin')
    @Cached()
    @SetMetadata('below', true)
    @RateLimited({ limit: 10, window: '1s' })
    async answer(first: string, second: string): Promise<string> {
      return first + second;
    }
  }

  it('keeps metadata above, below and between, the name and the length', () => {
    const { answer } = Guarded.prototype;
    expect(new Reflector().get('role', answer)).toBe('admin');
    expect(new Reflector().get('below', answer)).toBe(true);
    expect([answer.name, answer.length]).toEqual(['answer', 2]);
    expect(Object.keys(Guarded.prototype)).toEqual([]);
  });

  it('leaves instances as they were: spread, equality, freezing, JSON', async () => {
    class Plain {
      readonly size: number = 1;
    }
    class Decorated {
      readonly size: number = 1;
      constructor() {
        Object.freeze(this);
      }
      @Cached()
      async price(item: string): Promise<string> {
        log.push(item);
        return item;
      }
    }
    const decorated = (await start([Decorated])).get(Decorated);
    expect({ ...decorated }).toEqual({ ...new Plain() });
    expect(Reflect.ownKeys(decorated)).toEqual(['size']);
    expect(decorated).toEqual(new Decorated());
    expect(JSON.stringify(decorated)).toBe('{"size":1}');
    expect(Object.isFrozen(decorated)).toBe(true);
    await decorated.price('tea');
    await decorated.price('tea');
    expect(log).toEqual(['tea']);
  });
});

describe('order', () => {
  const foreign = (name: string) => {
    return (_target: object, _name: string, descriptor: TypedPropertyDescriptor<(n: number) => Promise<number>>) => {
      const inner = descriptor.value as (n: number) => Promise<number>;
      descriptor.value = function (this: unknown, n: number) {
        log.push(name);
        return inner.call(this, n);
      };
    };
  };

  it('is that of the text, also around foreign decorators, and one policy may stand twice', async () => {
    class Tower {
      @foreign('top')
      @Cached({ key: (n: number) => n % 10 })
      @foreign('middle')
      @RateLimited({ limit: 2, window: '1h' })
      @RateLimited({ limit: 3, window: '1d' })
      @foreign('bottom')
      async floor(n: number): Promise<number> {
        log.push('body');
        return n;
      }
    }
    const app = await start([Tower]);
    const tower = app.get(Tower);
    expect([await tower.floor(1), await tower.floor(11), await tower.floor(2)]).toEqual([1, 1, 2]);
    expect(log).toEqual(['top', 'middle', 'bottom', 'body', 'top', 'top', 'middle', 'bottom', 'body']);
    await expect(tower.floor(3)).rejects.toMatchObject({ limiter: 'Tower.floor' });
    const { limiters } = (app.get(WARMPATH) as Warmpath).snapshot();
    expect(limiters).toMatchObject({
      'Tower.floor': { allowed: 2, refused: 1 },
      'Tower.floor#2': { allowed: 2, refused: 0 },
    });
  });

  it('that spends quota on hits, caches substitutes or never reaches a layer is told at the start, once', async () => {
    class Muddle {
      @RateLimited({ limit: 1, window: '1s' })
      @Cached()
      @WithFallback({ to: 'spare' })
      async one(): Promise<number> {
        return 1;
      }
      async spare(): Promise<number> {
        return 0;
      }
      @Batched({ run: 'many' })
      @Cached()
      async single(n: number): Promise<number> {
        return n;
      }
      async many(ns: number[]): Promise<number[]> {
        return ns;
      }
    }
    await start([Muddle, { provide: 'again', useClass: Muddle }]);
    expect(warnings.sort()).toEqual([
      "Muddle.one: @Cached stands outside @WithFallback, so the substitute's answer is kept in place of the real one. Swap the two.",
      'Muddle.one: @RateLimited stands outside @Cached, so answers from the cache use up quota. Swap the two.',
      'Muddle.single: @Batched stands outside @Cached, so the batch method is called instead, so nothing is ever cached. Swap the two.',
    ]);
    const strict = Test.createTestingModule({
      imports: [WarmpathModule.forRoot({ strict: true })],
      providers: [Muddle],
    });
    const app = await strict.compile();
    await expect(app.init()).rejects.toMatchObject({ code: 'WP_BAD_OPTION' });
  });
});

describe('standard decorators', () => {
  it('wrap the method too, and learn the class from its first instance', async () => {
    const initializers: ((this: unknown) => void)[] = [];
    const context = {
      kind: 'method',
      name: 'price',
      static: false,
      private: false,
      addInitializer: (run: (this: unknown) => void) => initializers.push(run),
    } as unknown as ClassMethodDecoratorContext;
    class Standard {
      constructor() {
        for (const run of initializers) run.call(this);
      }
      async price(item: string): Promise<string> {
        log.push(item);
        return item;
      }
    }
    Standard.prototype.price = Cached({ key: (item: string) => item })(
      RateLimited({ limit: 1, window: '1h' })(Standard.prototype.price, context),
      context,
    );
    const app = await start([Standard]);
    const standard = app.get(Standard);
    expect([await standard.price('tea'), await standard.price('tea')]).toEqual(['tea', 'tea']);
    await expect(standard.price('rum')).rejects.toMatchObject({ limiter: 'Standard.price' });
  });
});
