import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type DynamicModule, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MulterModule, type NestExpressApplication } from '@nestjs/platform-express';
import type { WarmpathEvent } from '@warmpath/core';
import { ollama } from '@warmpath/core/models';
import { WarmpathModule } from '@warmpath/nestjs';
import { Captioner, VISION_MODEL } from './captioner.js';
import type { WorkerConfig } from './config.js';
import { ImageProcessor } from './image-processor.js';
import { ImageStore } from './image-store.js';
import { ImagesController } from './images.controller.js';
import { uploadGate } from './upload-gate.js';
import { UploadRefusals } from './upload-refusals.js';

@Module({})
class ImageWorkerModule {
  static with({ vision, maxImageBytes }: WorkerConfig): DynamicModule {
    return {
      module: ImageWorkerModule,
      imports: [
        WarmpathModule.forRoot({ onEvent: logFallback }),
        MulterModule.register({ limits: { fileSize: maxImageBytes, files: 1, fields: 10, fieldSize: 1_024 } }),
      ],
      controllers: [ImagesController],
      providers: [
        ImageProcessor,
        Captioner,
        { provide: ImageStore, useFactory: () => new ImageStore() },
        { provide: VISION_MODEL, useFactory: () => vision && ollama(vision) },
      ],
    };
  }
}

const logger = new Logger('Captions');

function logFallback(event: WarmpathEvent): void {
  if (event.type !== 'fallback.used') return;
  const why = event.error instanceof Error ? event.error.message : String(event.error);
  logger.warn(`${event.failed} failed, ${event.next} answers instead: ${why}`);
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

/** The worker, ready to listen. */
export async function createApp(config: WorkerConfig): Promise<NestExpressApplication> {
  const app = await NestFactory.create<NestExpressApplication>(ImageWorkerModule.with(config), {
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
