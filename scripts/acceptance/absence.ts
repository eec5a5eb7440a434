// A region is away for longer than the horizon, with writes that it had not passed on. The others delete, write over and add
// meanwhile. It comes back with its old folder: it has to fence itself, send nothing, be emptied and filled, and serve then;
// what was deleted stays deleted, and what it had not passed on is there, or in the ledger.
//
//   npx node scripts/acceptance/absence.ts [--quick]      (--quick: a horizon of 5 s, not of 60)

import { patientClock } from '../../src/client/node.ts';
import { firstDifference, isLive, parseLine, type View } from '../../src/drill/account.ts';
import type { Role } from '../../src/drill/drill.ts';
import { LocalPlace } from '../../src/drill/local-place.ts';
import { pause } from '../../src/ports/clock.ts';
import { sleep, until } from '../lib/http.ts';
import { inParallel, isQuick, Report } from '../lib/report.ts';

const HORIZON_MS = isQuick ? 5_000 : 60_000;
const KEYS = isQuick ? 600 : 3_000;
const UNSENT = 60;
const COLLECTION = 'absence';
const ROLES: readonly Role[] = ['first', 'second', 'third'];

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, at) => `${prefix}${at}`);
const kept = names('kept', KEYS);
const gone = names('gone', KEYS / 3);
const unsent = names('unsent', UNSENT);
const beaten = names('beaten', UNSENT);

const report = new Report(`absence: away for longer than a horizon of ${HORIZON_MS / 1_000} s`);
const place = await LocalPlace.start({ regions: 3, setsClocks: false, fillsDisks: false, hints: undefined, reconcileEveryMs: 60_000, horizonMs: HORIZON_MS });
try {
  const [first, , third] = ROLES.map((role) => place.client(role)) as [ReturnType<LocalPlace['client']>, unknown, ReturnType<LocalPlace['client']>];
  const put = (client: typeof first, pks: readonly string[], value: string): Promise<void> => inParallel(pks, 16, async (pk) => void (await client.put({ collection: COLLECTION, pk }, `${value} ${pk}`)));
  const view = (role: Role): Promise<View> => place.view(role, COLLECTION);
  const phase = async (): Promise<string> => (await third.replication()).phase;
  const live = ({ lines }: View): Map<string, readonly string[]> => new Map(lines.filter(isLive).map(parseLine).map(({ pk, current }) => [pk, current]));

  await first.createCollection(COLLECTION, { conflict: 'lww' });
  await put(first, [...kept, ...gone], 'before');
  await put(third, beaten, 'before');
  await until('everything is everywhere', () => place.isQuiet());
  await sleep(2_500); // a note of who is there

  await place.do({ verb: 'isolate', region: 'third' });
  await put(third, [...unsent, ...beaten], 'only at third');
  const { actor: before, peers } = await third.replication();
  const owed = Math.max(...peers.map(({ unreplicatedItems }) => unreplicatedItems));
  report.check('it owes what it wrote alone', owed === 2 * UNSENT, `${owed} of ${2 * UNSENT}`);
  await place.do({ verb: 'kill', region: 'third' });
  await place.do({ verb: 'heal' });
  const leftMs = patientClock.monotonicMs();
  await inParallel(gone, 16, async (pk) => void (await first.delete({ collection: COLLECTION, pk })));
  await put(first, beaten, 'beats it');
  await put(first, kept.slice(0, 100), 'meanwhile');
  await pause(patientClock, Math.max(0, HORIZON_MS + 4_000 - (patientClock.monotonicMs() - leftMs)));

  // One of the two that fill it is out of its reach, so that it can be looked at before it is whole.
  await place.do({ verb: 'cut-one-way', from: 'third', to: 'second' });
  await place.do({ verb: 'start', region: 'third' });
  const phases = new Set<string>();
  await until('it has been emptied', async () => phases.add(await phase()).has('joining'));
  await sleep(3_000);
  phases.add(await phase());
  report.check('it does not serve while one of the others has not given what it holds', !phases.has('serving'), [...phases].join(', '));
  const refused = await third.get({ collection: COLLECTION, pk: 'kept0' }, { timeoutMs: 500 }).then(() => undefined, (error: unknown) => error as Error);
  report.check('a read is refused there', refused !== undefined, refused?.message ?? 'answered');
  const early = live(await view('first'));
  report.check('nothing of it has been sent', ![...unsent].some((pk) => early.has(pk)) && !gone.some((pk) => early.has(pk)));

  await place.do({ verb: 'heal' });
  const backMs = patientClock.monotonicMs();
  await until('it serves', async () => (await phase()) === 'serving', 120_000);
  report.note(`serves ${((patientClock.monotonicMs() - backMs) / 1_000).toFixed(1)} s after all the others are in reach`);
  const certificates = (await third.certificates()).map(({ regions }) => regions.join('/'));
  report.check('a certificate with every replica is there', new Set(certificates).size === 2, [...new Set(certificates)].join(', '));
  const { actor } = await third.replication();
  report.check('as a new incarnation', actor !== before, `${before}, then ${actor}`);
  await until('everything is everywhere', () => place.isQuiet());
  const views = await Promise.all(ROLES.map(view));
  report.check('the dumps are equal', firstDifference(views, 'live values') === undefined, firstDifference(views, 'live values') ?? `${views[0]?.lines.filter(isLive).length} live items`);
  const difference = await place.reconcile();
  report.check('and a reconciliation of every pair finds nothing', difference === undefined, difference ?? '');
  const all = views.map(live);
  report.check('what was deleted meanwhile stays deleted', all.every((items) => !gone.some((pk) => items.has(pk))), `${gone.length} items`);
  report.check('what it had not passed on is everywhere', all.every((items) => unsent.every((pk) => items.get(pk)?.[0] === `only at third ${pk}`)), `${unsent.length} items`);
  report.check('what the others wrote stands', all.every((items) => beaten.every((pk) => items.get(pk)?.[0] === `beats it ${pk}`) && kept.slice(0, 100).every((pk) => items.get(pk)?.[0] === `meanwhile ${pk}`)));
  const losers = views.map(({ losses }) => new Set(losses.map(({ value }) => value)));
  report.check('what it had not passed on and lost is in every ledger', losers.every((values) => beaten.every((pk) => values.has(`only at third ${pk}`))), `${beaten.length} items`);
} finally {
  await place.end();
}
report.end();
