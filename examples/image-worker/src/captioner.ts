import { Inject, Injectable } from '@nestjs/common';
import type { Warmpath } from '@warmpath/core';
import type { ChatModel } from '@warmpath/core/models';
import { Cached, InjectWarmpath, WithFallback, withCacheReports } from '@warmpath/nestjs';
import { ImageProcessor, type ProcessedImage } from './image-processor.js';
import { measuredCaption } from './measured-caption.js';

/** The vision model, or undefined where none is configured. */
export const VISION_MODEL: unique symbol = Symbol('vision model');

export interface Caption {
  readonly text: string;
  /** Whether a model has looked at the image, or the sentence was made from measurements. */
  readonly source: 'model' | 'measured';
}

type Captioned = Pick<ProcessedImage, 'measurements' | 'resized'>;

const question = 'Describe this image in one plain sentence of at most 25 words. Do not begin with "The image".';

@Injectable()
export class Captioner {
  readonly #model: ChatModel | undefined;
  readonly #images: ImageProcessor;
  readonly #warmpath: Warmpath;

  constructor(
    @Inject(VISION_MODEL) model: ChatModel | undefined,
    @Inject(ImageProcessor) images: ImageProcessor,
    @InjectWarmpath() warmpath: Warmpath,
  ) {
    this.#model = model;
    this.#images = images;
    this.#warmpath = warmpath;
  }

  /** The caption of an image, and whether it was kept from an earlier upload of the same bytes. */
  async caption(image: ProcessedImage): Promise<Caption & { readonly cached: boolean }> {
    const describe = () => (this.#model ? this.modelled(image.id, image) : this.measured(image.id, image));
    const { value, reports } = await withCacheReports<Caption>(describe);
    const level = reports.at(-1)?.level;
    return { ...value, cached: level === 'memory' || level === 'store' };
  }

  /**
   * The fallback stands outside the cache: what the model says of an image is kept, what stands in for it while the model
   * is away is not kept in its place, so the next upload asks the model again.
   */
  @WithFallback({ to: 'measured' })
  @Cached({ key: (id: string) => id, ttl: '1d', maxEntries: 10_000 })
  async modelled(_id: string, { resized }: Captioned): Promise<Caption> {
    const model = this.#model;
    if (!model) throw new Error('There is no vision model.');
    const images = [await this.#images.forModel(resized)];
    const answer = await this.#warmpath.retry(
      'caption',
      ({ signal }) =>
        model.generate(
          { messages: [{ role: 'user', content: question }], images, temperature: 0, maxOutputTokens: 120 },
          { signal },
        ),
      { attempts: 2, timeout: '60s' },
    );
    const text = answer.text.trim();
    if (text === '') throw new Error(`${model.name} had nothing to say about the image.`);
    return { text, source: 'model' };
  }

  @Cached({ key: (id: string) => id, ttl: '1d', maxEntries: 10_000 })
  async measured(_id: string, { measurements }: Captioned): Promise<Caption> {
    return { text: measuredCaption(measurements), source: 'measured' };
  }
}
