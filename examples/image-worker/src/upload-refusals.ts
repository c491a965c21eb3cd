import type { IncomingMessage } from 'node:http';
import { type ArgumentsHost, BadRequestException, Catch, Logger, PayloadTooLargeException } from '@nestjs/common';
import { exceptionProblem, ProblemFilter } from '@warmpath/nestjs';
import { TooManyPixelsException } from './image-processor.js';

/**
 * Answers with problem documents, and writes into the log why an upload was refused. The body parsers refuse what is too
 * large, packed wrongly or no complete form before any of our code sees it, in words that are not meant for a client.
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
    const request = host.switchToHttp().getRequest<IncomingMessage>();
    const error = this.#worded(thrown, request);
    const { status, detail } = exceptionProblem(error);
    const isUpload = request.method === 'POST' && request.url?.split('?')[0] === '/images';
    if (status < 500 && isUpload) this.#log.warn(`POST /images was refused with ${status}: ${detail}`);
    super.catch(error, host);
  }

  /** What a parser has refused, in words for the client; all else as it is. */
  #worded(thrown: unknown, { headers }: IncomingMessage): unknown {
    const { status } = exceptionProblem(thrown);
    const cause = thrown instanceof Error ? thrown.cause : undefined;
    if (status === 413 && !(thrown instanceof TooManyPixelsException)) {
      return new PayloadTooLargeException(`An image may have at most ${this.#maxImageBytes} bytes.`, { cause: thrown });
    }
    // A parser's own error is the cause of Nest's; our refusals have none.
    if (status !== 400 || !(cause instanceof Error)) return thrown;
    if (/^multipart\//i.test(headers['content-type'] ?? '')) {
      return new BadRequestException(formDetail(cause), { cause: thrown });
    }
    const encoding = headers['content-encoding'];
    // Of all that can go wrong with other bodies only the unpacking speaks without a `type`, in zlib's words.
    if (encoding === undefined || 'type' in cause) return thrown;
    return new BadRequestException(
      `The body is not the ${encoding.slice(0, 20)} that its Content-Encoding promises. Send it complete, or uncompressed.`,
      { cause: thrown },
    );
  }
}

function formDetail(error: Error): string {
  const { code, field } = error as { code?: unknown; field?: unknown };
  return `${faultOf(code, field)} Send one file in the field 'image'.`;
}

function faultOf(code: unknown, field: unknown): string {
  switch (code) {
    case 'LIMIT_UNEXPECTED_FILE':
      return `The form has a file in the field '${String(field).slice(0, 60)}'.`;
    case 'LIMIT_FILE_COUNT':
      return 'The form has more than one file.';
    case undefined:
      return 'The form is incomplete or damaged.';
    default:
      return 'The form has more than a file.';
  }
}
