import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionContext } from '@nestjs/common';

/** A response as the platform's own code sees it: Express adds methods to Node's, Fastify keeps Node's in `raw`. */
export interface PlatformResponse {
  readonly raw?: ServerResponse;
  hijack?(): void;
  getHeaders?(): Record<string, number | string | string[] | undefined>;
  send?: unknown;
  json?: unknown;
}

export function rawRequest(context: ExecutionContext): IncomingMessage {
  const request = context.switchToHttp().getRequest<IncomingMessage & { raw?: IncomingMessage }>();
  return request.raw ?? request;
}

export function rawResponse(context: ExecutionContext): ServerResponse {
  const response = context.switchToHttp().getResponse<ServerResponse & PlatformResponse>();
  return response.raw ?? response;
}

/** Takes the response out of the framework's hands. Fastify keeps headers to itself until it sends: they come along. */
export function takeOver(context: ExecutionContext): ServerResponse {
  const response = context.switchToHttp().getResponse<ServerResponse & PlatformResponse>();
  if (!response.raw) return response;
  response.hijack?.();
  for (const [name, value] of Object.entries(response.getHeaders?.() ?? {})) {
    if (value !== undefined && !response.raw.hasHeader(name)) response.raw.setHeader(name, value);
  }
  return response.raw;
}

/**
 * Marks a response as answered. Nest replies with whatever the interceptors make of the handler's value, and has no way
 * to be told that there is nothing left to reply to.
 */
export function seal(context: ExecutionContext): void {
  const response = context.switchToHttp().getResponse<PlatformResponse>();
  const answered = (): PlatformResponse => response;
  response.send = answered;
  if ('json' in response) response.json = answered;
}
