// Routes about the store as a whole: topology, replication, reconciliation, keys.

import { z } from '@hono/zod-openapi';
import { TOPOLOGY_VERBS, type TopologyVerb } from '../../core/placement/topology-change.ts';
import { Administration } from '../administration.ts';
import type { Guard } from '../router.ts';
import * as schemas from '../schemas.ts';
import { BODY_PROBLEMS, PAGE_QUERY, WRITE_PROBLEMS, type RouteParts } from './parts.ts';

const READ: Guard = { scope: 'read', reach: 'store' };
const ADMIN: Guard = { scope: 'admin', reach: 'store' };

/** The control region's table orders the documents: any region passes a change on to it. */
export function addTopologyRoutes({ service, add, json, where }: RouteParts): void {
  const admin = new Administration(service);
  const tag = 'Topology';
  const answers = { 200: { description: 'The document that stands now, without the partition map.', schema: schemas.topologyChanged } };
  const problems = ['topology-change-refused', 'wrong-region', 'no-region-available', 'region-recovering', 'overloaded', 'storage-full', 'storage-unavailable', 'write-outcome-unknown'] as const;
  for (const verb of TOPOLOGY_VERBS) {
    add({
      method: 'post',
      path: `/v1/regions/{region}/${verb}`,
      guard: ADMIN,
      document: { id: `${verb}Region`, tag, summary: SUMMARIES[verb], answers, problems: ['key-invalid', 'not-found', ...problems] },
      handle: (call) => where(call, [service.region.catalog.topology.control], async () => json(call, await admin.changeTopology(call, verb))),
    });
  }
  add({
    method: 'post',
    path: '/v1/topology/promote',
    guard: ADMIN,
    document: { id: 'promoteRegion', tag, summary: 'Make the answering region the control region, under a higher term', answers, problems },
    handle: (call) => where(call, [service.region.id], async () => json(call, await admin.promote())),
  });
}

const SUMMARIES: Readonly<Record<TopologyVerb, string>> = {
  drain: 'Route nothing new to a region; it serves and replicates on',
  return: 'Let a region that was drained or fenced be active again; one that was lost is joining first, and active when asked again and it holds everything',
  fence: 'Let a region take no part: it answers no client, and its messages are not taken',
  lose: 'Declare a region lost for good: nothing is kept for it any more',
};

export function addReplicationRoutes({ service, add, json }: RouteParts): void {
  const admin = new Administration(service);
  const tag = 'Replication';
  add({
    method: 'get',
    path: '/v1/topology',
    guard: READ,
    document: { id: 'showTopology', tag, summary: 'Regions, states, partition map', answers: { 200: { description: 'The topology.', schema: schemas.topologyAnswer } } },
    handle: (call) => json(call, admin.topology()),
  });
  add({
    method: 'get',
    path: '/v1/replication',
    guard: READ,
    document: { id: 'showReplication', tag, summary: 'Live RPO and lag per peer', answers: { 200: { description: 'This region’s side.', schema: schemas.replicationAnswer } } },
    handle: async (call) => json(call, await admin.replication()),
  });
  for (const [verb, paused] of [['pause', true], ['resume', false]] as const) {
    add({
      method: 'post',
      path: `/v1/replication/{peer}/${verb}`,
      guard: ADMIN,
      document: { id: `${verb}Replication`, tag, summary: `${paused ? 'Hold back' : 'Let go on'} both directions with a peer, on this side`, answers: { 204: { description: 'Done.' } }, problems: ['not-found', 'key-invalid', 'storage-unavailable', 'storage-full'] },
      handle: async (call) => json(call, await admin.pause(call, paused)),
    });
  }
  add({
    method: 'get',
    path: '/v1/replication/{peer}/dead',
    guard: ADMIN,
    document: { id: 'listDeadLetters', tag, summary: 'Messages that could not be handled', answers: { 200: { description: 'A page.', schema: schemas.deadLettersAnswer } }, problems: ['not-found', 'key-invalid'], query: z.object(PAGE_QUERY) },
    handle: async (call) => json(call, await admin.deadLetters(call)),
  });
  add({
    method: 'post',
    path: '/v1/replication/{peer}/dead/replay',
    guard: ADMIN,
    document: { id: 'replayDeadLetters', tag, summary: 'Merge dead letters again', answers: { 200: { description: 'How many were merged.', schema: z.object({ merged: z.int() }) } }, problems: ['not-found', 'key-invalid', ...WRITE_PROBLEMS] },
    handle: async (call) => json(call, await admin.replay(call)),
  });
}

export function addReconciliationRoutes({ service, add, json }: RouteParts): void {
  const admin = new Administration(service);
  const tag = 'Reconciliation';
  add({
    method: 'post',
    path: '/v1/reconcile',
    guard: ADMIN,
    document: { id: 'reconcile', tag, summary: 'Prove that the copies agree, or make them', answers: { 202: { description: 'Begun. Location is where its result will be.', schema: schemas.reconcileAnswer, fields: ['Location'] } }, problems: ['collection-not-found', ...BODY_PROBLEMS], body: { schema: schemas.reconcileRequest, required: false } },
    handle: async (call) => json(call, await admin.reconcile(await call.json(schemas.reconcileRequest))),
  });
  add({
    method: 'get',
    path: '/v1/reconcile/{id}',
    guard: READ,
    document: { id: 'showReconciliation', tag, summary: 'How a reconciliation stands', answers: { 200: { description: 'Per pair: compared, differing, moved, cost.', schema: schemas.reconcileAnswer } }, problems: ['not-found', 'key-invalid'] },
    handle: async (call) => json(call, await admin.reconciliation(call)),
  });
  add({
    method: 'get',
    path: '/v1/certificates',
    guard: READ,
    document: { id: 'listCertificates', tag, summary: 'Proofs that pairs of regions agree', answers: { 200: { description: 'Newest first.', schema: schemas.certificatesAnswer } } },
    handle: (call) => json(call, admin.certificates()),
  });
}

export function addKeyRoutes({ service, add, json }: RouteParts): void {
  const admin = new Administration(service);
  const tag = 'Keys';
  add({
    method: 'get',
    path: '/v1/keys',
    guard: ADMIN,
    document: { id: 'listKeys', tag, summary: 'Bearer keys, without their secrets', answers: { 200: { description: 'The list.', schema: schemas.keysAnswer } } },
    handle: (call) => json(call, admin.listKeys()),
  });
  add({
    method: 'post',
    path: '/v1/keys',
    guard: ADMIN,
    document: { id: 'createKey', tag, summary: 'Make a bearer key; its secret is shown once', answers: { 201: { description: 'The key.', schema: schemas.keyAnswer, fields: ['Location'] } }, problems: [...BODY_PROBLEMS, ...WRITE_PROBLEMS], body: { schema: schemas.keyRequest } },
    handle: async (call) => json(call, await admin.createKey(await call.json(schemas.keyRequest))),
  });
  add({
    method: 'delete',
    path: '/v1/keys/{id}',
    guard: ADMIN,
    document: { id: 'revokeKey', tag, summary: 'Revoke a key', answers: { 204: { description: 'Revoked.' } }, problems: ['not-found', 'key-invalid', ...WRITE_PROBLEMS] },
    handle: async (call) => json(call, await admin.revokeKey(call)),
  });
}
