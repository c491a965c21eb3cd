import type { IncomingMessage } from 'node:http';
import { type ArgumentsHost, Catch, Logger, PayloadTooLargeException } from '@nestjs/common';
import { exceptionProblem, ProblemFilter } from '@warmpath/nestjs';
import { TooManyPixelsException } from './image-processor.js';

/**
 * Answers with problem documents, and writes into the log why an upload was refused. The body parsers refuse an upload that
 * is too large before any of our code sees it, in words of their own.
 */
@Catch()
export class UploadRefusals extends ProblemFilter {
  readonly #log = new Logger('Uploads');
  readonly #maxImageBytes: number;

  constructor(maxImageBytes: number) {
    super();
    this.#maxImageBytes = maxImageBytes;
  }

  override catch(thrown: unknown, host: ArgumentsHost): void {
    const parserRefused = exceptionProblem(thrown).status === 413 && !(thrown instanceof TooManyPixelsException);
    const error = parserRefused
      ? new PayloadTooLargeException(`An image may have at most ${this.#maxImageBytes} bytes.`, { cause: thrown })
      : thrown;
    const { status, detail } = exceptionProblem(error);
    const { method, url } = host.switchToHttp().getRequest<IncomingMessage>();
    if (status < 500) this.#log.warn(`${method} ${url} was refused with ${status}: ${detail}`);
    super.catch(error, host);
  }
}
