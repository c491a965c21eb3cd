export { type MeterOptions, meterStream, type StreamEnd } from './meter.js';
export { type RespondOptions, respondWithEvents, responseSignal } from './respond.js';
export { encodeSse, isEventStream, type SseEvent, sseComment } from './sse.js';
export { keepWriteCallbacks } from './write-callbacks.js';
