/** What a bench is: it leaves the stage as it found it. */
import type { Report } from './report.ts';
import type { Stage } from './stage.ts';

export type Bench = (stage: Stage, rounds: number) => Promise<Report>;
