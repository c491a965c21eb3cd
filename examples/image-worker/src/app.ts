import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type DynamicModule, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MulterModule, type NestExpressApplication } from '@nestjs/platform-express';
import type { WarmpathEvent } from '@warmpath/core';
import { ollama } from '@warmpath/core/models';
import { WarmpathModule } from '@warmpath/nestjs';
import { CAPTION_STORE, type CaptionStore, CaptionStoreCloser, openCaptionStore } from './caption-store.js';
import { Captioner, VISION_MODEL } from './captioner.js';
import type { WorkerConfig } from './config.js';
import { ImageProcessor } from './image-processor.js';
import { ImageStore } from './image-store.js';
import { ImagesController } from './images.controller.js';
import { PerformanceController } from './performance.controller.js';
import { uploadGate } from './upload-gate.js';
import { UploadRefusals } from './upload-refusals.js';

@Module({})
class ImageWorkerModule {
  static with({ vision, maxImageBytes }: WorkerConfig, kept: CaptionStore | undefined): DynamicModule {
    return {
      module: ImageWorkerModule,
      imports: [
        WarmpathModule.forRoot({
          ...(kept && { cache: { store: kept.store } }),
          ...(kept?.limits && { limiter: { store: kept.limits } }),
          onEvent(event) {
            logOutage(event);
            kept?.onEvent(event);
          },
        }),
        MulterModule.register({ limits: { fileSize: maxImageBytes, files: 1, fields: 10, fieldSize: 1_024 } }),
      ],
      controllers: [ImagesController, PerformanceController],
      providers: [
        ImageProcessor,
        Captioner,
        CaptionStoreCloser,
        { provide: CAPTION_STORE, useFactory: () => kept },
        { provide: ImageStore, useFactory: () => new ImageStore() },
        { provide: VISION_MODEL, useFactory: () => vision && ollama(vision) },
      ],
    };
  }
}

const logger = new Logger('Captions');

/** A caption that the model could not write, whether another one was given for it or an old one is served on, and that it is left alone. */
function logOutage(event: WarmpathEvent): void {
  if (event.type === 'fallback.used') {
    logger.warn(`${event.failed} failed, ${event.next} answers instead: ${reasonOf(event.error)}`);
  } else if (event.type === 'breaker.opened') {
    const seconds = Math.ceil(event.pauseMs / 1_000);
    logger.warn(`The model is left alone for ${seconds} s: ${event.failures} of ${event.calls} calls have failed.`);
  } else if (event.type === 'cache.failed' && event.background) {
    logger.warn(`A caption could not be written anew, the old one is served on: ${reasonOf(event.error)}`);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Not with `app.listen`, which writes a failure into the log with its stack before it throws it.
 * @returns the address that it listens at
 * @throws what Node says when the address cannot be had
 */
export async function listen(app: NestExpressApplication, { port, host }: WorkerConfig): Promise<string> {
  await app.init();
  const server: Server = app.getHttpServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { address, port: taken } = server.address() as AddressInfo;
  return `http://${address.includes(':') ? `[${address}]` : address}:${taken}`;
}

/**
 * The worker, ready to listen.
 * @throws ConfigError when the cache file cannot be had
 */
export async function createApp(config: WorkerConfig): Promise<NestExpressApplication> {
  const kept = await openCaptionStore(config);
  const app = await NestFactory.create<NestExpressApplication>(ImageWorkerModule.with(config, kept), {
    bodyParser: false,
    logger: ['warn', 'error', 'fatal'],
    abortOnError: false,
  });
  app.use(uploadGate(config.maxUploads));
  app.useBodyParser('raw', { type: 'image/*', limit: config.maxImageBytes });
  app.useGlobalFilters(new UploadRefusals(config.maxImageBytes));
  app.enableShutdownHooks();
  return app;
}
