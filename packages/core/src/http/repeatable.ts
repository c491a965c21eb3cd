/** RFC 9110 section 9.2.2: carrying them out twice comes to the same as once. */
const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/**
 * Whether a request may be sent twice.
 * @param isPromised by whoever calls, or for the whole service
 * @param hasKey an `Idempotency-Key` header, by which the service knows a repetition
 */
export function isRepeatable(method: string, isPromised: boolean, hasKey: boolean): boolean {
  return isPromised || hasKey || idempotentMethods.has(method);
}
