import { Injectable } from '@nestjs/common';

/** What is served again under an image's id. */
export interface StoredImage {
  readonly thumbnail: Buffer;
  readonly resized: Buffer;
}

const mostBytes = 64 * 1024 * 1024;

/** The renditions of the latest images, in memory up to a number of bytes: past it the one unused for longest leaves. */
@Injectable()
export class ImageStore {
  // Least recently used first: a Map iterates in order of insertion and every use inserts anew.
  readonly #images = new Map<string, StoredImage>();
  readonly #limit: number;
  #bytes = 0;

  constructor(limit: number = mostBytes) {
    this.#limit = limit;
  }

  get bytes(): number {
    return this.#bytes;
  }

  put(id: string, image: StoredImage): void {
    this.delete(id);
    this.#images.set(id, image);
    this.#bytes += sizeOf(image);
    for (const oldest of this.#images.keys()) {
      if (this.#bytes <= this.#limit) break;
      this.delete(oldest);
    }
  }

  get(id: string): StoredImage | undefined {
    const image = this.#images.get(id);
    if (image) {
      this.#images.delete(id);
      this.#images.set(id, image);
    }
    return image;
  }

  delete(id: string): void {
    const image = this.#images.get(id);
    if (image) this.#bytes -= sizeOf(image);
    this.#images.delete(id);
  }
}

function sizeOf({ thumbnail, resized }: StoredImage): number {
  return thumbnail.length + resized.length;
}
