export type {
  Executor,
  ExecutorOptions,
  ExecutorStats,
  FallbackFailure,
  FallbackResult,
  FallbackStepOf,
  FallbackValue,
  GroupOptions,
  IterateOptions,
  RunAllOptions,
  TaskOptions,
} from './contract.js';
export type { ExecutorEvent } from './events.js';
export { createExecutor } from './executor.js';
export { executorRules } from './options.js';
export type {
  ItemOutcome,
  RunEnd,
  RunProgress,
  RunReport,
  TaskCollection,
  TaskName,
  TaskOutcome,
  ValueOf,
} from './outcome.js';
export {
  type ConditionalStep,
  type OptionalStep,
  type Pipeline,
  type PipelineCall,
  type PipelineEnd,
  type PipelineEvent,
  type PipelineOptions,
  type PipelineReport,
  type PipelineRun,
  type PipelineStart,
  pipeline,
  type RequiredStep,
  type ResultsOf,
  type StepCall,
  type StepExecutor,
  type StepOutcome,
  type StepQuestion,
  type Timeline,
  type TimelineEntry,
  type WithResult,
} from './pipeline/index.js';
export type { ExecutorTask, FallbackTask, TaskCall } from './task.js';
