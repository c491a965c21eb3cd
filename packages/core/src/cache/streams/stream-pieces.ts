import { errorCodes, isWarmpathError, WarmpathError, type WarmpathErrorCode } from '../../kernel/index.js';
import type { Codec } from '../codec/codec.js';
import { type Isolation, keep } from '../isolation/isolation.js';
import type { StreamPiece } from '../store.js';
import { type LoggedChunk, loggedChunk } from './chunk.js';
import type { StreamOutcome } from './stream-reader.js';

export interface PieceOptions {
  readonly codec: Codec;
  readonly isolation: Isolation;
  /** What encrypted pieces are bound to: they cannot be moved to another stream, nor to another place in it. */
  readonly key: string;
}

/** Some chunks on their way to another process. */
export interface Batch {
  readonly values: readonly unknown[];
  readonly atMs: readonly number[];
  /** Those that the stream is known to have by now, since an invalidation of one has to reach its followers. */
  readonly tags: readonly string[];
}

/** What a piece says: chunks, or how the stream has ended; `'cut'`: no more of it is shared. */
export type PieceContent =
  | { readonly chunks: readonly LoggedChunk[]; readonly tags: readonly string[] }
  | { readonly outcome: StreamOutcome | 'cut' };

/** @returns undefined for what is not data and so cannot leave the process */
export function pieceOf(batch: Batch, end: number, options: PieceOptions): StreamPiece | undefined {
  // A value that is shared as it is may be more than data, and would come back as less than it is.
  const values = options.isolation === 'shared' ? keep(batch.values, 'copy')?.value : batch.values;
  const bytes = values ? options.codec.encode({ ...batch, values }, keyOf(options, end, false)) : undefined;
  return bytes ? { end, bytes, isLast: false } : undefined;
}

export function lastPieceOf(outcome: StreamOutcome | 'cut', end: number, options: PieceOptions): StreamPiece {
  const key = keyOf(options, end, true);
  const said = typeof outcome === 'string' ? { outcome } : { error: errorData(outcome.error) };
  const bytes = options.codec.encode(said, key) ?? options.codec.encode({ error: { message: 'It failed' } }, key);
  if (!bytes) throw new Error('Text is data');
  return { end, bytes, isLast: true };
}

/** @returns undefined for what none of ours has written, or another version has */
export function contentOf({ end, bytes, isLast }: StreamPiece, options: PieceOptions): PieceContent | undefined {
  const decoded = options.codec.decode(bytes, keyOf(options, end, isLast));
  if ('rejected' in decoded || typeof decoded.value !== 'object' || decoded.value === null) return undefined;
  if (isLast) {
    const { outcome, error } = decoded.value as { readonly outcome?: 'ended' | 'cut'; readonly error?: ErrorData };
    return { outcome: error ? { error: errorOf(error) } : (outcome ?? 'cut') };
  }
  const { values, atMs, tags } = decoded.value as Partial<Batch>;
  if (!Array.isArray(values) || !Array.isArray(atMs) || !Array.isArray(tags)) return undefined;
  if (!tags.every((tag) => typeof tag === 'string')) return undefined;
  const chunks = values.map((value, index) => loggedChunk(value, atMs[index] ?? 0, options.isolation));
  return { chunks, tags };
}

interface ErrorData {
  readonly name?: string;
  readonly message: string;
  readonly code?: string | number;
  readonly details?: unknown;
}

/** What of an error another process can be told: its stack and its causes stay here. */
function errorData(error: unknown): ErrorData {
  if (!(error instanceof Error)) return { message: typeof error === 'string' ? error : 'It failed' };
  const { code } = error as { readonly code?: unknown };
  return {
    name: error.name,
    message: error.message,
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    // Numbers and names, as far as everybody keeps to that.
    ...(isWarmpathError(error) && { details: keep(error.details, 'copy')?.value }),
  };
}

function errorOf({ name = 'Error', message, code, details }: ErrorData): Error {
  if (name === 'WarmpathError' && typeof code === 'string' && code in errorCodes) {
    const own = typeof details === 'object' && details !== null ? { details: { ...details } } : {};
    return new WarmpathError(code as WarmpathErrorCode, message, own);
  }
  const error = new Error(message);
  if (name !== 'Error') Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true });
  return code === undefined ? error : Object.assign(error, { code });
}

function keyOf({ key }: PieceOptions, end: number, isLast: boolean): string {
  return `${key}:${end}${isLast ? ' last' : ''}`;
}
