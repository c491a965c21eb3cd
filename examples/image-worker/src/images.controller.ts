import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  All,
  BadRequestException,
  Controller,
  Delete,
  Get,
  Header,
  HttpCode,
  Inject,
  MethodNotAllowedException,
  NotFoundException,
  Param,
  Post,
  Req,
  Res,
  StreamableFile,
  UnsupportedMediaTypeException,
  UploadedFile,
  UseInterceptors,
} from '@nestjs/common';
import { FileInterceptor } from '@nestjs/platform-express';
import { RateLimited } from '@warmpath/nestjs';
import { Captioner } from './captioner.js';
import { acceptedFormats, type ImageMetadata, ImageProcessor, type Rendition } from './image-processor.js';
import { ImageStore, type StoredImage } from './image-store.js';

export interface ImageAnswer {
  readonly id: string;
  readonly metadata: ImageMetadata;
  readonly thumbnail: RenditionAnswer;
  readonly resized: RenditionAnswer;
  readonly caption: { readonly text: string; readonly source: 'model' | 'measured'; readonly cached: boolean };
}

interface RenditionAnswer {
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly url: string;
}

/** What an upload leaves on the request: a parsed body for raw images, a file for forms. */
type UploadRequest = IncomingMessage & { readonly body?: unknown };

@Controller('images')
export class ImagesController {
  readonly #processor: ImageProcessor;
  readonly #captioner: Captioner;
  readonly #store: ImageStore;

  constructor(
    @Inject(ImageProcessor) processor: ImageProcessor,
    @Inject(Captioner) captioner: Captioner,
    @Inject(ImageStore) store: ImageStore,
  ) {
    this.#processor = processor;
    this.#captioner = captioner;
    this.#store = store;
  }

  @Post()
  @UseInterceptors(FileInterceptor('image'))
  @RateLimited({ name: 'uploads', limit: 120, window: '1m', key: clientOf })
  async upload(
    @Req() request: UploadRequest,
    @UploadedFile() file: { readonly buffer: Buffer } | undefined,
  ): Promise<ImageAnswer> {
    const image = await this.#processor.process(uploadOf(request, file));
    const { id, metadata, thumbnail, resized } = image;
    this.#store.put(id, { thumbnail: thumbnail.data, resized: resized.data });
    return {
      id,
      metadata,
      thumbnail: answerOf(thumbnail, `/images/${id}/thumbnail`),
      resized: answerOf(resized, `/images/${id}/resized`),
      caption: await this.#captioner.caption(image),
    };
  }

  @Get(':id/thumbnail')
  @Header('Cache-Control', 'public, max-age=31536000, immutable')
  thumbnail(@Param('id') id: string): StreamableFile {
    return this.#serve(id, 'thumbnail');
  }

  @Get(':id/resized')
  @Header('Cache-Control', 'public, max-age=31536000, immutable')
  resized(@Param('id') id: string): StreamableFile {
    return this.#serve(id, 'resized');
  }

  /** There may be captions where there is no image any more: those outlive it, and this process. */
  @Delete(':id')
  @HttpCode(204)
  async forget(@Param('id') id: string, @Res({ passthrough: true }) response: ServerResponse): Promise<void> {
    if (!/^[0-9a-f]{64}$/.test(id)) {
      throw new BadRequestException(
        `'${id.slice(0, 80)}' is no image's id: those have 64 hexadecimal digits, and come with the answer to an upload.`,
      );
    }
    this.#store.delete(id);
    if (await this.#captioner.forget(id)) response.statusCode = 202; // here it is forgotten, in the store it will be
  }

  @All()
  @Header('Allow', 'POST')
  onlyPosted(): never {
    throw new MethodNotAllowedException('Images are posted here. Send a POST request.');
  }

  @All([':id/thumbnail', ':id/resized'])
  @Header('Allow', 'GET, HEAD')
  onlyRead(): never {
    throw new MethodNotAllowedException('This can only be read. Images are posted to /images.');
  }

  @All(':id')
  @Header('Allow', 'DELETE')
  onlyForgotten(): never {
    throw new MethodNotAllowedException('An image can only be deleted here. It is served as /thumbnail and /resized.');
  }

  #serve(id: string, rendition: keyof StoredImage): StreamableFile {
    const data = this.#store.get(id)?.[rendition];
    if (!data) throw new NotFoundException('There is no such image, or not any more. Upload it again.');
    return new StreamableFile(data, { type: 'image/webp', length: data.length });
  }
}

/** Its address: behind a proxy this would be what the proxy says it is. */
function clientOf({ socket }: UploadRequest): string {
  return socket.remoteAddress ?? 'gone';
}

/** The bytes of the image, however they came. */
function uploadOf(request: UploadRequest, file: { readonly buffer: Buffer } | undefined): Buffer {
  const type = request.headers['content-type'];
  const bytes = type?.startsWith('multipart/form-data') ? file?.buffer : request.body;
  if (Buffer.isBuffer(bytes) && bytes.length > 0) return bytes;
  if (type?.startsWith('multipart/form-data')) {
    throw new BadRequestException("The form has no image. Send a file in the field 'image'.");
  }
  if (type === undefined || /^image\//i.test(type)) {
    throw new BadRequestException('There is no image. Send one as the body, with a Content-Type such as image/jpeg.');
  }
  throw new UnsupportedMediaTypeException(
    `A body of type ${type.split(';')[0]} is no image. Send a ${acceptedFormats} image, as the body or in a form.`,
  );
}

function answerOf({ data, width, height }: Rendition, url: string): RenditionAnswer {
  return { width, height, bytes: data.length, url };
}
