import { createHash } from 'node:crypto';
import {
  HttpException,
  Injectable,
  PayloadTooLargeException,
  UnprocessableEntityException,
  UnsupportedMediaTypeException,
} from '@nestjs/common';
import sharp, { type Metadata, type OutputInfo, type Sharp } from 'sharp';
import type { Measurements } from './measured-caption.js';

// Only these decoders: the others have a larger surface (SVG can refer to other files) and nobody uploads them here.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: ['Jpeg', 'Png', 'Webp', 'Nsgif', 'Heif', 'Tiff'].map((format) => `VipsForeignLoad${format}Buffer`),
});

export const acceptedFormats = 'JPEG, PNG, WebP, GIF, AVIF or TIFF';

/** More pixels than any camera's; a small file can claim far more and fill the memory when it is unpacked. */
const mostPixels = 50_000_000;

/** A small file whose image would be too large. */
export class TooManyPixelsException extends PayloadTooLargeException {
  constructor(options: { readonly cause: unknown }) {
    super(`An image may have at most ${mostPixels / 1e6} million pixels.`, options);
  }
}

export interface Rendition {
  /** WebP. */
  readonly data: Buffer;
  readonly width: number;
  readonly height: number;
}

export interface ImageMetadata {
  readonly format: string;
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly channels: number;
  readonly space: string;
  readonly hasAlpha: boolean;
  readonly frames: number;
}

export interface ProcessedImage {
  /** The SHA-256 of the bytes that came, in hex. */
  readonly id: string;
  readonly metadata: ImageMetadata;
  readonly resized: Rendition;
  readonly thumbnail: Rendition;
  readonly measurements: Measurements;
}

@Injectable()
export class ImageProcessor {
  /**
   * Makes everything that the worker answers with, side by side. Renditions keep the aspect, are never larger than the
   * original, are turned as the camera was held, and carry none of its metadata.
   * @throws HttpException 413, 415 or 422, saying what is wrong with the image
   */
  async process(bytes: Buffer): Promise<ProcessedImage> {
    const image = sharp(bytes, { limitInputPixels: mostPixels });
    try {
      const [metadata, stats, resized, thumbnail] = await Promise.all([
        image.metadata(),
        image.clone().stats(),
        webp(image, 1_024),
        webp(image, 128),
      ]);
      const { brightness, dominant } = await coloursOf(thumbnail.data);
      return {
        id: createHash('sha256').update(bytes).digest('hex'),
        metadata: toMetadata(metadata, bytes),
        resized,
        thumbnail,
        measurements: {
          ...metadata.autoOrient,
          dominant,
          brightness,
          entropy: stats.entropy,
          sharpness: stats.sharpness,
          transparent: !stats.isOpaque,
          frames: metadata.pages ?? 1,
        },
      };
    } catch (error) {
      throw refusalOf(error);
    }
  }

  /** The image as a vision model takes it: a JPEG, since not every model server reads WebP. */
  async forModel(resized: Rendition): Promise<Buffer> {
    return sharp(resized.data)
      .resize(768, 768, { fit: 'inside', withoutEnlargement: true })
      .flatten(onWhite)
      .jpeg()
      .toBuffer();
  }
}

const onWhite = { background: '#ffffff' };

async function webp(image: Sharp, side: number): Promise<Rendition> {
  const { data, info }: { data: Buffer; info: OutputInfo } = await image
    .clone()
    .autoOrient()
    .resize(side, side, { fit: 'inside', withoutEnlargement: true })
    .webp()
    .toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

/** From the thumbnail on white: eight bits of sRGB whatever the original was, and transparent parts as they are seen. */
async function coloursOf(thumbnail: Buffer): Promise<Pick<Measurements, 'brightness' | 'dominant'>> {
  const flat = await sharp(thumbnail).flatten(onWhite).toColourspace('srgb').png().toBuffer();
  const { channels, dominant } = await sharp(flat).stats();
  const [r = 0, g = r, b = r] = channels.map(({ mean }) => mean / 255);
  return { dominant, brightness: 0.2126 * r + 0.7152 * g + 0.0722 * b };
}

function toMetadata(metadata: Metadata, bytes: Buffer): ImageMetadata {
  const { width, height } = metadata.autoOrient;
  return {
    format: metadata.format === 'heif' ? 'avif' : metadata.format,
    width,
    height,
    bytes: bytes.length,
    channels: metadata.channels,
    space: metadata.space,
    hasAlpha: metadata.hasAlpha,
    frames: metadata.pages ?? 1,
  };
}

/** What sharp says in words, as a status. Everything that the decoder refuses is the fault of the image. */
function refusalOf(error: unknown): HttpException {
  if (error instanceof HttpException) return error;
  const [reason = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
  if (reason.includes('unsupported image format')) {
    return new UnsupportedMediaTypeException(`What came is not a ${acceptedFormats} image.`, { cause: error });
  }
  if (reason.includes('pixel limit')) {
    return new TooManyPixelsException({ cause: error });
  }
  return new UnprocessableEntityException(`The image is damaged or incomplete: ${reason}.`, { cause: error });
}
