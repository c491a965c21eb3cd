export { keepWriteCallbacks, mayCompress } from './compression.js';
export { type MeterOptions, meterStream, type StreamEnd } from './meter.js';
export { closeSource, type RespondOptions, respondWithEvents, responseSignal } from './respond.js';
export { encodeSse, isEventStream, type SseEvent, sseComment } from './sse.js';
