// A report as one page that needs nothing else: no request leaves it. Figures come from the JSON report inside of it.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { isWithin, type JudgedLoss } from './loss.ts';
import type { DrillReport, Proof } from './report.ts';

const require = createRequire(import.meta.url);
const text = (name: string): string => readFileSync(require.resolve(`uplot/dist/${name}`), 'utf8');

const escaped = (value: string): string => value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
/** Inside of a script element nothing may end it. */
const embedded = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c');

const time = (ms: number | undefined): string => (ms === undefined ? 'not measured' : ms >= 1_000 ? `${(ms / 1_000).toFixed(1)} s` : `${Math.round(ms)} ms`);
const whole = (value: number | undefined): string => (value === undefined ? 'not measured' : value.toLocaleString('en'));

function figures({ hints, queued, oldestMs, divergedAtHealing, divergedKeys, measured }: DrillReport): readonly (readonly [string, string, string])[] {
  const { rtoMs, detectionMs, verdictMs, errorsAfterReturn, equalAfterHealingMs, rpoLive, rpoReal, acknowledged, lost, errorRate, convergedMs, conflicts, staleReadMs, staleReads, staleAfterReturn } = measured;
  const most = (rows: DrillReport['hints']): number => rows.flat().reduce((largest: number, each) => Math.max(largest, each ?? 0), 0);
  return [
    ['RTO', time(rtoMs), 'last good second to the first of five'],
    ['Detection', time(detectionMs), verdictMs === undefined ? 'first answer from elsewhere' : `first answer from elsewhere; another region said down after ${time(verdictMs)}`],
    ['Real RPO', whole(rpoReal), 'items at no survivor'],
    ['Live RPO at the loss', whole(rpoLive), 'items that the lost said they owed'],
    ['Acknowledged', whole(acknowledged), 'writes'],
    ['Without account', whole(lost), 'acknowledged writes, at the end'],
    ['Errors', `${(errorRate * 100).toFixed(2)} %`, errorsAfterReturn === undefined ? 'of all requests' : `of all requests; ${(errorsAfterReturn * 100).toFixed(2)} % of those since something was brought back`],
    ['Keys that differed', divergedAtHealing === undefined ? whole(divergedKeys) : whole(divergedAtHealing), divergedAtHealing === undefined ? 'when the load ended' : `at healing; ${whole(divergedKeys)} when the load ended`],
    ['Converged', time(convergedMs), equalAfterHealingMs === undefined ? 'after the load ended' : `after the load ended; ${time(equalAfterHealingMs)} after the last healing, with the load`],
    ['Queue depth', whole(most(queued)), `items waited in one region, at most; the oldest for ${time(oldestMs)}`],
    ['Hints', whole(most(hints)), 'waited in one region, at most'],
    ['In the ledger', whole(conflicts), 'losers of conflicts'],
    ['Stale reads', staleReadMs === 0 ? 'none' : whole(staleReads), staleReadMs === 0 ? 'none showed what had ended' : `${whole(staleAfterReturn)} after the return; the last ${time(staleReadMs)} after the first fault`],
  ];
}

/** The name of a region is not broken at its hyphens. */
const withRegions = (html: string, regions: readonly string[]): string => regions.reduce((all, id) => all.replaceAll(escaped(id), `<span class="region">${escaped(id)}</span>`), html);

const plural = (count: number): string => (count === 1 ? 'one message' : `${whole(count)} messages`);
const shownTime = (at: string | undefined): string => (at === undefined ? 'none' : `<time>${at.slice(11, 19)}</time>`);
const proofRow = ({ pair, before, after, digest }: Proof, regions: readonly string[]): string => `<tr><td>${withRegions(escaped(pair), regions)}</td><td>${shownTime(before)}</td><td>${shownTime(after)}</td><td><code>${escaped(digest ?? '')}</code></td></tr>`;
const lossRow = (loss: JudgedLoss): string => `<tr class="${isWithin(loss) ? 'holds' : 'fails'}"><td><span class="region">${escaped(loss.region)}</span></td><td><time>${(loss.atMs / 1_000).toFixed(1)} s</time></td><td>${whole(loss.live)}</td><td>${whole(loss.real)}</td><td>${whole(loss.writes)}</td><td>${loss.oldestMs === undefined ? '' : time(loss.oldestMs)}</td></tr>`;
const LOSSES = '<thead><tr><th>Region</th><th>At</th><th>Owed</th><th>Lost</th><th>Writes</th><th>Oldest</th></tr></thead>';

export function drillPage(report: DrillReport): string {
  const { drill, about, place, regions, control, passed, verdicts, measured, events, requests, retriesPerRequest, skipped, remarks: said, notes, certificates, deadLetters } = report;
  const rows = verdicts.map(({ expectation, holds, found }) => `<tr class="${holds ? 'holds' : 'fails'}"><td>${holds ? 'holds' : 'fails'}</td><td>${escaped(expectation)}</td><td>${withRegions(escaped(found), regions)}</td></tr>`);
  const cards = figures(report).map(([name, value, what]) => `<div class="card"><dt>${name}</dt><dd>${value}</dd><small>${what}</small></div>`);
  const list = events.map(({ atMs, what }, at) => `<li><b>${at + 1}</b><time>${(atMs / 1_000).toFixed(1)} s</time> <span>${withRegions(escaped(what), regions)}</span></li>`);
  const remarks = notes.map((note) => `<li><code>${escaped(note)}</code></li>`);
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(drill)}: ${passed ? 'passed' : 'failed'}</title>
<style>
${text('uPlot.min.css')}
${STYLE}
</style>
<main>
<header>
<p class="kicker">Archipel drill on ${escaped(place)} · ${withRegions(regions.map(escaped).join(', '), regions)}${control === undefined ? '' : ` · <b>negative control: ${escaped(control)}</b>`}</p>
<h1>${escaped(drill)} <span class="${passed ? 'holds' : 'fails'}">${passed ? 'passed' : 'failed'}</span></h1>
<p>${escaped(about.replaceAll(/\s+/g, ' '))}</p>
${said.map((each) => `<p>${escaped(each)}</p>\n`).join('')}</header>
<dl class="cards">${cards.join('')}</dl>
<section class="two">
<div><h2>Expectations</h2><table><tbody>${rows.join('')}</tbody></table></div>
<div><h2>What was done</h2><ol class="events">${list.join('')}</ol></div>
</section>
<section><h2>What clients saw</h2>
<p class="note">By the second since the load began. Dashed: what was done then, by its number above.</p>
<h3>Requests a second: answered, and failed</h3><div class="plot" id="throughput"></div>
<h3>Latency in milliseconds: p50 and p99</h3><div class="plot" id="latency"></div>
<h3>The same by the region that answered: p99</h3><div class="plot" id="by-region"></div>
<h3>Answers a second, by the region that gave them</h3><div class="plot" id="served"></div>
<h3>Live RPO: items that a region owes to its furthest peer</h3><div class="plot" id="owed"></div>
<h3>Queue depth: items that wait in a region for all its peers, together</h3><div class="plot" id="queued"></div>
<h3>Hints: keys that wait in a region for its peers</h3><div class="plot" id="hints"></div>
</section>
<section class="two">
${measured.losses.length === 0 ? '' : `<div><h2>What each loss took</h2><table class="proofs">${LOSSES}<tbody>${measured.losses.map(lossRow).join('')}</tbody></table>
<p class="note">Owed: items, as the region said just before. Lost: items that no survivor had; by how many writes; and how long before the loss the oldest of those was acknowledged.</p></div>`}
<div><h2>Certificates</h2>
<table class="proofs"><thead><tr><th>Pair</th><th>From before</th><th>After</th><th>Digest</th></tr></thead><tbody>${certificates.map((proof) => proofRow(proof, regions)).join('')}</tbody></table></div>
</section>
<section><h2>Also</h2>
<p>${requests.toLocaleString('en')} requests, ${retriesPerRequest.toFixed(3)} retries per request by the clients, ${skipped.toLocaleString('en')} not sent because too many waited; ${deadLetters === 0 ? 'no message' : plural(deadLetters)} that could not be handled. At the end every pair of regions compared its copies: ${measured.copiesEqual ? 'no difference, certified' : 'not equal, or not compared'}.</p>
${remarks.length === 0 ? '' : `<ul>${remarks.join('')}</ul>`}
<p class="limits">${place === 'given' ? 'This proves what was done to this cluster, on that day. It' : 'One machine'} proves the protocol, the recovery and the account. It does not prove the losses and delays of a wide area network, that disks keep what they say, or that regions fail independently of each other.</p>
</section>
</main>
<script>${text('uPlot.iife.min.js')}</script>
<script>const report = ${embedded({ seconds: report.seconds, owed: report.owed, queued: report.queued, hints: report.hints, regions, events })};
${SCRIPT}</script>
</html>
`;
}

const STYLE = `
:root { color-scheme: light dark; --paper: #fbfaf7; --ink: #1d2733; --soft: #5b6673; --line: #d9d6cd; --card: #ffffff; --good: #1f7a4d; --bad: #b3261e; --a: #1b6ca8; --b: #c2571a; --c: #6b4fa0; }
@media (prefers-color-scheme: dark) { :root { --paper: #12181f; --ink: #e6e9ed; --soft: #97a3b0; --line: #2c3641; --card: #1a222b; --good: #5cc48e; --bad: #ff8a80; --a: #6cb6f0; --b: #f0a36c; --c: #b9a0ea; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; margin: .2em 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; } h3 { font-size: .9rem; font-weight: 600; color: var(--soft); margin: 1.2rem 0 .3rem; }
.kicker, small, .limits, .note, time { color: var(--soft); } .note { margin: .3rem 0; font-size: .8rem; } .region { white-space: nowrap; } .kicker { margin: 0; font-size: .9rem; }
.holds { color: var(--good); } .fails { color: var(--bad); font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(148px, 1fr)); gap: .75rem; margin: 1.5rem 0 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; }
.card dt { font-size: .8rem; color: var(--soft); } .card dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; } .card small { display: block; font-size: .75rem; line-height: 1.35; margin-top: .15rem; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 0 2.5rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-size: .8rem; font-weight: 600; color: var(--soft); padding: .3rem .6rem .3rem 0; } td { padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; } td:nth-child(n+2) { color: var(--ink); font-weight: 400; }
.events { list-style: none; margin: 0; padding: 0; } .events li { padding: .2rem 0; display: flex; } time { font-variant-numeric: tabular-nums; white-space: nowrap; } .events b { flex: 0 0 1.8em; font-weight: 600; color: var(--soft); } .events time { flex: 0 0 4.2em; }
.plot { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .5rem; overflow: hidden; }
.u-legend { font-size: .8rem; color: var(--ink); }
code { font-size: .85em; overflow-wrap: anywhere; }
@media (max-width: 480px) { .proofs { font-size: .85rem; } .proofs th, .proofs td { padding-right: .4rem; } }
@media print { :root { color-scheme: light; font-size: 11px; --paper: #ffffff; --ink: #1d2733; --soft: #5b6673; --line: #d9d6cd; --card: #ffffff; --good: #1f7a4d; --bad: #b3261e; --a: #1b6ca8; --b: #c2571a; --c: #6b4fa0; } main { max-width: none; padding: 0; } body { font-size: 10.5px; line-height: 1.3; } section:last-of-type, .limits { margin-bottom: 0; } .plot, .card, .two > div, .proofs { break-inside: avoid; } h1 { font-size: 1.6rem; } h2 { margin: .7rem 0 .2rem; break-after: avoid; } h3 { margin: .5rem 0 .15rem; break-after: avoid; } .cards { grid-template-columns: repeat(6, 1fr); gap: .4rem; margin-top: .6rem; } .card { padding: .3rem .5rem; } .card dd { font-size: 1.1rem; } .two { grid-template-columns: 1fr 1fr; } td { padding: .15rem .6rem .15rem 0; } .events li { padding: 0; } .plot { padding: .2rem; } .u-legend { font-size: .7rem; } .u-legend th { padding: 0 4px; } .note { font-size: 9px; margin: .1rem 0; } }
@page { margin: 14mm; }
`;

const SCRIPT = `
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plots = [];
const HEIGHT = 160, PRINTED = 96;
const widthOf = (box) => box.clientWidth - 18;
const marks = { hooks: { draw: [(u) => {
  const { ctx, bbox } = u;
  ctx.save(); ctx.strokeStyle = css('--soft'); ctx.setLineDash([4, 4]); ctx.lineWidth = 1;
  ctx.fillStyle = css('--soft'); ctx.textAlign = 'left'; ctx.textBaseline = 'top'; ctx.font = 10 * devicePixelRatio + 'px system-ui, sans-serif';
  const labels = [];
  report.events.forEach(({ atMs }, at) => {
    const x = Math.round(u.valToPos(atMs / 1000, 'x', true)) + 0.5;
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
    const last = labels.at(-1);
    if (last !== undefined && x - last.x < 16 * devicePixelRatio) last.text += ' ' + (at + 1);
    else labels.push({ x, text: String(at + 1) });
  });
  for (const { x, text } of labels) ctx.fillText(text, x + 3 * devicePixelRatio, bbox.top + 2 * devicePixelRatio);
  ctx.restore();
} ] } };
function plot(id, names, colours, data) {
  const box = document.getElementById(id);
  const axis = { stroke: () => css('--soft'), grid: { stroke: () => css('--line'), width: 1 }, ticks: { stroke: () => css('--line') } };
  const series = [{ label: 'seconds' }, ...names.map((label, i) => ({ label, stroke: () => css(colours[i]), width: 2, spanGaps: false, points: { show: false } }))];
  const u = new uPlot({ width: widthOf(box), height: HEIGHT, scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.05)] } }, axes: [{ ...axis, size: 28 }, { ...axis, size: 56, space: 20 }], series, legend: { live: false, markers: { stroke: (_, i) => i === 0 ? 'transparent' : \`var(\${colours[i - 1]})\` } }, plugins: [marks] }, [report.seconds.map((s) => s.second), ...data], box);
  plots.push([u, box]);
}
const s = report.seconds;
plot('throughput', ['answered', 'failed'], ['--good', '--bad'], [s.map((x) => x.good), s.map((x) => x.requests - x.good)]);
plot('latency', ['p50', 'p99'], ['--a', '--b'], [s.map((x) => x.p50Ms), s.map((x) => x.p99Ms)]);
plot('by-region', report.regions, ['--a', '--b', '--c'], report.regions.map((id) => s.map((x) => x.p99MsBy?.[id] ?? null)));
plot('served', report.regions, ['--a', '--b', '--c'], report.regions.map((id) => s.map((x) => x.servedBy[id] ?? 0)));
plot('owed', report.regions, ['--a', '--b', '--c'], report.regions.map((_, at) => s.map((x) => report.owed[x.second]?.[at] ?? null)));
plot('queued', report.regions, ['--a', '--b', '--c'], report.regions.map((_, at) => s.map((x) => report.queued[x.second]?.[at] ?? null)));
plot('hints', report.regions, ['--a', '--b', '--c'], report.regions.map((_, at) => s.map((x) => report.hints[x.second]?.[at] ?? null)));
const printed = matchMedia('print');
const fit = (isPrinted) => { for (const [u, box] of plots) u.setSize({ width: widthOf(box), height: isPrinted ? PRINTED : HEIGHT }); };
const fitted = () => fit(printed.matches);
addEventListener('resize', fitted); addEventListener('beforeprint', () => fit(true)); addEventListener('afterprint', () => fit(false)); printed.addEventListener('change', fitted);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { for (const [u] of plots) u.redraw(); });
`;
