/** A reason why the application cannot start: printed as it is, without a stack, before it leaves with status 1. */
export class StartError extends Error {
  override readonly name = 'StartError';

  /** @param mend what to do about it */
  constructor(what: string, why: string, mend: string, options?: ErrorOptions) {
    super(`${what}\n  Why:  ${why}\n  Mend: ${mend}`, options);
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
