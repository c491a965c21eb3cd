/**
 * What rules a whole namespace, in the one text under its key: `epoch:seq:clear:tagged:run`.
 */
export interface Versions {
  /** Random: numbers of one epoch say nothing of those of another. */
  readonly epoch: string;
  /** Counts the invalidations. No number is ever used twice within an epoch. */
  readonly seq: number;
  /** The number of the last clear; 0 when there was none. */
  readonly clear: number;
  /** The number of the last invalidation of any tag; 0 when there was none. */
  readonly tagged: number;
  /** The run id of the server that held the text when it was last compared; empty when it never was. */
  readonly run: string;
}

/** Scripts read and write the same form: see `scripts.ts`. */
const pattern = /^([\w-]+):(\d+):(\d+):(\d+):([\w-]*)$/;

/** Undefined for what is not of this form, and so for what is not there. */
export function parseVersions(text: Buffer | string | null | undefined): Versions | undefined {
  if (text === null || text === undefined) return undefined;
  const match = pattern.exec(typeof text === 'string' ? text : text.toString('latin1'));
  if (!match) return undefined;
  const [, epoch = '', seq, clear, tagged, run = ''] = match;
  return { epoch, seq: Number(seq), clear: Number(clear), tagged: Number(tagged), run };
}

export function formatVersions({ epoch, seq, clear, tagged, run }: Versions): string {
  return `${epoch}:${seq}:${clear}:${tagged}:${run}`;
}

/** What the number under a tag's key says. Undefined for what is none. */
export function parseVersion(text: Buffer | string | null | undefined): number | undefined {
  if (text === null || text === undefined) return undefined;
  const digits = typeof text === 'string' ? text : text.toString('latin1');
  return /^\d{1,16}$/.test(digits) ? Number(digits) : undefined;
}
