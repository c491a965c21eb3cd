export type {
  ConditionalStep,
  OptionalStep,
  Pipeline,
  PipelineCall,
  PipelineOptions,
  PipelineReport,
  PipelineRun,
  PipelineStart,
  RequiredStep,
  ResultsOf,
  StepCall,
  StepExecutor,
  StepQuestion,
  WithResult,
} from './contract.js';
export type { PipelineEvent } from './events.js';
export { pipeline } from './pipeline.js';
export type { PipelineEnd, StepOutcome, Timeline, TimelineEntry } from './timeline.js';
