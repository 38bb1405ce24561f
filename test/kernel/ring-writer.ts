/** A worker that makes a program write to its ring, `runs` times in all, while the main thread reads. */
import { workerData } from 'node:worker_threads';
import { testRun } from '../../kernel/index.ts';

export interface Work {
  program: number;
  runs: number;
}

const { program, runs } = workerData as Work;
for (let done = 0; done < runs; done += 500) testRun(program, { data: Buffer.alloc(60), repeat: 500 });
