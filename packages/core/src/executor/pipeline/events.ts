import type { PipelineEnd, StepOutcome, Timeline } from './timeline.js';

/** Neither inputs nor results are in them. */
export type PipelineEvent =
  | {
      /** A step has ended or was skipped. One that never became ready has no event; the timeline says so. */
      readonly type: 'pipeline.step';
      readonly pipeline: string;
      readonly step: string;
      readonly outcome: Exclude<StepOutcome, 'not-started'>;
      /** From when all that it needs was there: a wait for a place of an executor is part of it. */
      readonly ms: number;
      readonly optional: boolean;
      /** Of a step that failed or was late. */
      readonly error?: unknown;
    }
  | {
      readonly type: 'pipeline.done';
      readonly pipeline: string;
      readonly endedBy: PipelineEnd;
      readonly ms: number;
      /** The required step whose failure ended the run. */
      readonly step?: string;
      /** What the run rejected with. */
      readonly error?: unknown;
      readonly timeline: Timeline;
    };
