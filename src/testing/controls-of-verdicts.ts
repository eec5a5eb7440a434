// Known bugs that the looks of verdicts.ts catch. Apart from these: what a thread has loaded before a bug is put in stays as it is.

import type { Control } from './controls.ts';

export const VERDICT_CONTROLS: readonly Control[] = [
  {
    name: 'down-by-one-observer',
    what: 'A region that one observer does not hear is taken for down by everybody: a bad link takes a region out of use.',
    edits: [{ file: 'core/health/detector.ts', find: 'const isDown = suspectedBy.length >= this.#parts.agree && this.#isSilent(subject, nowMs);', replace: 'const isDown = suspectedBy.length > 0 && this.#isSilent(subject, nowMs);' }],
    seed: 1,
  },
  {
    name: 'down-for-ever',
    what: 'A region that was suspected is never heard again: what was down stays so after it is back.',
    edits: [{ file: 'core/health/detector.ts', find: 'if (!isNewer(pulse, subject.seen)) return; // 1', replace: 'if (!isNewer(pulse, subject.seen) || this.#suspect(subject, nowMs)) return;' }, { file: 'core/health/detector.ts', find: '    subject.grewMs = nowMs;\n', replace: '' }, { file: 'core/health/detector.ts', find: '    if (pulse.life > subject.newest.life) subject.heardMs = nowMs;\n', replace: '' }],
    seed: 1,
  },
];
