/** Skipping that stays honest: by the name of what is lacking, and only where the kernel is older than that. */
import { hasFeature, isKernelAtLeast, probeHost } from '../../kernel/index.ts';
import type { FeatureName } from '../../kernel/index.ts';

type Skip = { skip?: string };

/** Options of a test that cannot be without a feature. Where the kernel should have it the test runs, and fails. */
export function needs(name: FeatureName): Skip {
  const since = probeHost().find((probe) => probe.name === name)?.since ?? '';
  return hasFeature(name) ? {} : needsLinux(since, name);
}

/** Options of a test that cannot be without `what`, which came with Linux `since` and nobody can ask for. */
export function needsLinux(since: string, what: string): Skip {
  return isKernelAtLeast(since) ? {} : { skip: `${what}, in Linux since ${since}` };
}
