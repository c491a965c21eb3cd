import {
  ConfigurableModuleBuilder,
  type ConfigurableModuleCls,
  type DynamicModule,
  Inject,
  type MiddlewareConsumer,
  Module,
  type NestModule,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { DiscoveryModule, DiscoveryService } from '@nestjs/core';
import { createWarmpath, type Warmpath } from '@warmpath/core';
import { durationMs } from '@warmpath/core/kernel';
import { splitOptions, type WarmpathModuleOptions } from './options.js';
import { sweepProviders } from './provider-sweep.js';
import { requestContext } from './request-context.js';
import { WARMPATH, WarmpathRuntime } from './tokens.js';

/** What decides how the module is registered, and therefore is given beside the factory, never by it. */
export interface WarmpathModuleExtras {
  /** Whether all modules see the runtime. Default true: decorators may stand on any provider. */
  isGlobal: boolean;
}

const built = new ConfigurableModuleBuilder<WarmpathModuleOptions>({ moduleName: 'Warmpath' })
  .setClassMethodName('forRoot')
  .setExtras<WarmpathModuleExtras>({ isGlobal: true }, (definition, { isGlobal }) => ({
    ...definition,
    global: isGlobal,
  }))
  .build();

const ConfigurableWarmpathModule: ConfigurableModuleCls<
  WarmpathModuleOptions,
  'forRoot',
  'create',
  WarmpathModuleExtras
> = built.ConfigurableModuleClass;

/**
 * Gives the app its runtime, the decorators theirs, and every HTTP request its context.
 * `forRoot(options)`, or `forRootAsync({ imports, inject, useFactory | useClass | useExisting })`, where a class has a
 * method `create()`. The app makes one runtime and closes it when it shuts down.
 */
@Module({
  imports: [DiscoveryModule],
  providers: [
    {
      provide: WARMPATH,
      inject: [built.MODULE_OPTIONS_TOKEN],
      useFactory: (options: WarmpathModuleOptions): Warmpath => createWarmpath(splitOptions(options).runtime),
    },
    { provide: WarmpathRuntime, useExisting: WARMPATH },
  ],
  exports: [WARMPATH, WarmpathRuntime],
})
export class WarmpathModule
  extends ConfigurableWarmpathModule
  implements NestModule, OnModuleInit, OnApplicationShutdown
{
  readonly #runtime: Warmpath;
  readonly #own: ReturnType<typeof splitOptions>['own'];
  readonly #discovery: DiscoveryService;
  #release: () => void = () => {};

  constructor(
    @Inject(WARMPATH) runtime: Warmpath,
    @Inject(built.MODULE_OPTIONS_TOKEN) options: WarmpathModuleOptions,
    @Inject(DiscoveryService) discovery: DiscoveryService,
  ) {
    super();
    this.#runtime = runtime;
    this.#own = splitOptions(options).own;
    this.#discovery = discovery;
  }

  static override forRoot(options: WarmpathModuleOptions & Partial<WarmpathModuleExtras> = {}): DynamicModule {
    // biome-ignore lint/complexity/noThisInStatic: the builder makes the module of the class that it is called on
    return super.forRoot(options);
  }

  configure(consumer: MiddlewareConsumer): void {
    const { tenant, timeout } = this.#own;
    const timeoutMs = timeout === undefined ? undefined : durationMs(timeout);
    const context = requestContext({ tenantOf: tenant, timeoutMs, clock: this.#runtime.clock });
    consumer.apply(context).forRoutes('{*path}');
  }

  onModuleInit(): void {
    this.#release = sweepProviders(this.#discovery, this.#runtime, this.#own.strict ?? false);
  }

  /** After the server has closed, so that the last requests still find an open runtime. */
  async onApplicationShutdown(): Promise<void> {
    await this.#runtime.close();
    this.#release();
  }
}
