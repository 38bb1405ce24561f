import assert from 'node:assert/strict';
import test from 'node:test';
import { ImageLabels } from './image-labels.ts';

const signal = new AbortController().signal;
const IMAGE = 'sha256:0123456789abcdef';

function labelsOf(answers: Record<string, Record<string, string>>) {
  const asked: string[] = [];
  const labels = new ImageLabels(async (image) => {
    asked.push(image);
    return answers[image];
  });
  return { labels, asked };
}

test('what came with the image goes; what the container was given stays, also under a key of the image', async () => {
  const { labels, asked } = labelsOf({ [IMAGE]: { role: 'admin', maker: 'x' } });
  const all = { role: 'admin', maker: 'me', team: 'x' };
  assert.deepEqual(await labels.without(all, IMAGE, signal), { maker: 'me', team: 'x' });
  assert.deepEqual(await labels.without({ role: 'user' }, IMAGE, signal), { role: 'user' });
  assert.deepEqual(asked, [IMAGE]);
});

test('a container without labels asks for no image', async () => {
  const { labels, asked } = labelsOf({});
  assert.deepEqual(await labels.without({}, IMAGE, signal), {});
  assert.deepEqual(asked, []);
});

test('without the image nobody can tell, and the container has no labels yet', async () => {
  const { labels } = labelsOf({});
  await assert.rejects(labels.without({ role: 'admin' }, IMAGE, signal), { code: 'IMAGE_UNKNOWN' });
});
