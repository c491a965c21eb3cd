export {
  type ChatAnswer,
  type ChatChunk,
  type ChatMessage,
  type ChatModel,
  type ChatRequest,
  type Citation,
  collectAnswer,
  type FetchLike,
  type FinishReason,
  type ModelCall,
  type Passage,
  type Usage,
} from './chat-model.js';
export type { Embedder } from './embedder.js';
export { type ExtractiveOptions, extractive } from './extractive.js';
export { type OllamaOptions, ollama } from './ollama.js';
export { type OllamaEmbedderOptions, ollamaEmbedder } from './ollama-embedder.js';
export { type OpenAiOptions, openai } from './openai.js';
export { type OpenAiEmbedderOptions, openaiEmbedder } from './openai-embedder.js';
export { synonymsBy } from './synonyms.js';
