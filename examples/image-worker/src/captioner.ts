import { Inject, Injectable } from '@nestjs/common';
import { type Limit, type Policy, type Warmpath, wrap } from '@warmpath/core';
import type { ChatModel } from '@warmpath/core/models';
import { Cached, InjectWarmpath, RateLimited, WithFallback, withCacheReports } from '@warmpath/nestjs';
import { ImageProcessor, type ProcessedImage } from './image-processor.js';
import { measuredCaption } from './measured-caption.js';

/** The vision model, or undefined where none is configured. */
export const VISION_MODEL: unique symbol = Symbol('vision model');

export interface Caption {
  readonly text: string;
  /** Whether a model has looked at the image, or the sentence was made from measurements. */
  readonly source: 'model' | 'measured';
}

type Captioned = Pick<ProcessedImage, 'id' | 'measurements' | 'resized'>;

const question = 'Describe this image in one plain sentence of at most 25 words. Do not begin with "The image".';
const caches = { modelled: 'captions.model', measured: 'captions.measured' } as const;
const maxEntries = 10_000;
/** Of all workers together, where they share a Redis. */
const visionLimits: readonly Limit[] = [{ limit: 60, window: '1m' }, { concurrent: 4 }];

/** One tag for all captions of an image, whoever wrote them: what forgets it need not know which models there were. */
function tagsOf({ id }: Pick<Captioned, 'id'>): readonly string[] {
  return [`image:${id}`];
}

@Injectable()
export class Captioner {
  readonly #model: ChatModel | undefined;
  readonly #images: ImageProcessor;
  readonly #warmpath: Warmpath;
  /** Tries again, unless the model's server has failed too often of late. */
  readonly #asking: Policy;

  constructor(
    @Inject(VISION_MODEL) model: ChatModel | undefined,
    @Inject(ImageProcessor) images: ImageProcessor,
    @InjectWarmpath() warmpath: Warmpath,
  ) {
    this.#model = model;
    this.#images = images;
    this.#warmpath = warmpath;
    this.#asking = wrap(warmpath.retry('caption', { attempts: 2, timeout: '60s' }), warmpath.breaker('caption'));
  }

  /** The caption of an image, and whether it was kept from an earlier upload of the same bytes. */
  async caption(image: ProcessedImage): Promise<Caption & { readonly cached: boolean }> {
    const describe = async (): Promise<Caption> => {
      const said = this.#model ? await this.modelled(image, this.#model) : null;
      return said ?? this.measured(image);
    };
    const { value, reports } = await withCacheReports(describe);
    const level = reports.at(-1)?.level;
    return { ...value, cached: level === 'memory' || level === 'store' };
  }

  /**
   * Forgets the captions of an image, and what is being written for it. In this process that holds at once.
   * @returns whether the store has yet to be told
   */
  async forget(id: string): Promise<boolean> {
    const forgetting = Object.values(caches).map((name) => this.#warmpath.cache(name).invalidateTags(tagsOf({ id })));
    return (await Promise.all(forgetting)).some(({ deferred }) => deferred);
  }

  /**
   * What a model says of the same bytes, asked the same way, stays right, so all of that is the key: another model or another
   * question means another caption, and going back finds the earlier one. The ttl is for a model that changes behind its
   * name. Past it the old caption is served while the model writes a new one, and for as long as the model is away.
   *
   * The fallback stands outside the cache: what stands in for the model is not kept in its place, so the next upload asks
   * the model again.
   * @returns null when the model has nothing to say, which is kept for a while as well
   */
  @WithFallback({ to: 'measured' })
  @Cached({
    name: caches.modelled,
    key: ({ id }: Captioned, { name }: ChatModel) => ({ image: id, model: name, question }),
    tags: tagsOf,
    ttl: '30d',
    jitter: 0.1,
    staleWhileRevalidate: '30d',
    grace: '90d',
    negativeTtl: '10m',
    maxEntries,
  })
  async modelled({ resized }: Captioned, model: ChatModel): Promise<Caption | null> {
    const image = await this.#images.forModel(resized);
    const said = await this.#asking(({ signal }) => this.look(image, model, signal));
    const text = said.trim();
    return text === '' ? null : { text, source: 'model' };
  }

  /**
   * One request to the model's server, below cache and retries: each one counts. Who would have to wait for too long gets a
   * measured caption.
   */
  @RateLimited({ name: 'vision', key: () => 'all', limits: visionLimits, wait: '30s', leaseTtl: '1m' })
  async look(image: Buffer, model: ChatModel, signal: AbortSignal): Promise<string> {
    const messages = [{ role: 'user' as const, content: question }];
    const answer = await model.generate(
      { messages, images: [image], temperature: 0, maxOutputTokens: 120 },
      { signal },
    );
    return answer.text;
  }

  /** Cheap, so it need not outlive the next version of the sentence for long. */
  @Cached({ name: caches.measured, key: ({ id }: Captioned) => id, tags: tagsOf, ttl: '1h', maxEntries })
  async measured({ measurements }: Captioned): Promise<Caption> {
    return { text: measuredCaption(measurements), source: 'measured' };
  }
}
