export { type Batcher, type BatcherEvent, type BatcherOptions, type BatchFunction, createBatcher } from './batcher.js';
