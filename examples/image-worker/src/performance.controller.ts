import { Controller, Get, Header } from '@nestjs/common';
import type { RuntimeSnapshot, Warmpath } from '@warmpath/core';
import { InjectWarmpath } from '@warmpath/nestjs';

/** What the caches have saved and how the limits stand. Nothing in it is secret, but it is nobody's business either. */
@Controller('performance')
export class PerformanceController {
  readonly #warmpath: Warmpath;

  constructor(@InjectWarmpath() warmpath: Warmpath) {
    this.#warmpath = warmpath;
  }

  @Get()
  @Header('Cache-Control', 'no-store')
  snapshot(): RuntimeSnapshot {
    return this.#warmpath.snapshot();
  }
}
