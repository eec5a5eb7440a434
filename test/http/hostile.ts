// Requests that nobody means well with. Most are made by hand, one trick each; the keys are also made by a generator from
// pieces that parsers disagree about. A request is either refused (4xx, and nothing is changed), or it is what it says:
// then `stores` names the exact bytes of key and value that it must be found under.

import { toBase64Url, utf8 } from '../../src/core/bytes.ts';
import { CURSOR_CHARACTERS_MAX } from '../../src/core/limits.ts';
import { seededRandom } from './harness.ts';

export interface Hostile {
  readonly why: string;
  readonly method: string;
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Legitimate: 2xx, and these bytes lie under this key. */
  readonly stores?: { readonly pk: Uint8Array; readonly sk: Uint8Array; readonly value: Uint8Array };
  /** Legitimate, and only reads: a preference that is ignored, a parameter that means nothing bad. */
  readonly reads?: true;
}

const ITEM = '/v1/c/demo/items/alice';
const JSON_TYPE = { 'content-type': 'application/json' };
const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

// Keys ----------------------------------------------------------------------------------------------------------------------

/** Bytes of one path segment or query value by the book, or undefined: the plain twin of what the server does. */
export function decodedKey(raw: string): Uint8Array | undefined {
  if (!/^(?:[!-~]|%[0-9A-Fa-f]{2})*$/.test(raw) || /[#\\]/.test(raw) || /%(?![0-9A-Fa-f]{2})/.test(raw)) return undefined;
  const bytes = Buffer.from(raw.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16))), 'latin1');
  return Buffer.from(bytes.toString('utf8'), 'utf8').equals(bytes) ? Uint8Array.from(bytes) : undefined;
}

const PIECES = [
  ...['a', 'A', '0', '+', ';', ':', '@', '=', '&', '~', '!', '$', "'", '(', '*', ',', '"', '<', '>', '^', '`', '{', '|', '[', ']'],
  ...['%00', '%01', '%0a', '%0d%0a', '%09', '%20', '%22', '%23', '%25', '%252f', '%25zz', '%26', '%2B', '%2e', '%2E', '%2f', '%2F', '%3b', '%3f', '%3F', '%5c', '%7f', '%C2%80', '%C2%A0', '%C3%A9', 'e%CC%81', '%E2%80%AE', '%E2%84%AB', '%EF%BB%BF', '%EF%BF%BD', '%EF%BF%BF', '%F0%9F%98%80', '%F4%8F%BF%BF', '.', '..'],
  ...['%', '%2', '%g0', '%0g', '%zz', '%%', '%u0041', '%-1', '%+1', '% 1', '%ff', '%FE', '%80', '%BF', '%C3', '%C3(', '%C0%80', '%C0%AF', '%C1%BF', '%E0%80%AF', '%E0%9F%BF', '%ED%A0%80', '%ED%BF%BF', '%F0%80%80%AF', '%F4%90%80%80', '%F8%88%80%80%80', '%FC%84%80%80%80%80', '%E2%82'],
  ...['\\', '#', ' ', '\t', '\u007f', '\u0080', '\u00e9', '\u20ac', '\u{1f600}', '\ud800', '\udfff', '\u0000', '\n', '\r'],
];

function* generatedKeys(): Generator<Hostile> {
  const random = seededRandom(20260101);
  const below = (limit: number): number => {
    const [a = 0, b = 0] = random.bytes(2);
    return (a * 256 + b) % limit;
  };
  const text = (): string => Array.from({ length: 1 + below(4) }, () => PIECES[below(PIECES.length)] as string).join('');
  const value = utf8('hostile');
  for (let at = 0; at < 180; at++) {
    const [pk, sk] = [text(), below(3) === 0 ? text() : undefined];
    const isInQuery = below(3) === 0;
    const target = isInQuery ? `/v1/c/demo/items?pk=${pk}${sk === undefined ? '' : `&sk=${sk}`}` : `/v1/c/demo/items/${pk}${sk === undefined ? '' : `/${sk}`}`;
    const names = [pk, ...(sk === undefined ? [] : [sk])];
    const isNamed = names.every((name) => {
      const key = decodedKey(name);
      if (key === undefined || key.length === 0) return false;
      return isInQuery ? !name.includes('&') : !name.includes('?') && !['.', '..'].includes(Buffer.from(key).toString());
    });
    const stores = isNamed ? { pk: decodedKey(pk) as Uint8Array, sk: sk === undefined ? new Uint8Array(0) : (decodedKey(sk) as Uint8Array), value } : undefined;
    yield { why: 'a generated key', method: 'PUT', target, body: value, ...(stores === undefined ? {} : { stores }) };
  }
}

const PATHS = [
  ...['', '/', '//', 'a/', '/a', 'a//b', 'a/b/', 'a/b/c', 'a/b/c/d', '.', '..', './a', '../a', 'a/.', 'a/..', 'a/../b', '%2e', '%2e%2e', '.%2e', '%2E.', '%2e/a', 'a/%2e%2e', '%2e%2e/%2e%2e/%2e%2e/keys', 'a\\..\\b'],
];

const hostileKeys: readonly Hostile[] = [
  ...PATHS.flatMap((path): Hostile[] => ['GET', 'PUT', 'DELETE'].map((method) => ({ why: 'a path that a proxy would change', method, target: `/v1/c/demo/items/${path}`, ...(method === 'PUT' ? { body: 'x' } : {}) }))),
  ...['', 'pk', 'pk=', 'sk=a', 'pk=a&pk=a', 'pk=a&%70k=b', 'pk=a&sk=b&sk=b', 'pk=a&keys=', 'pk=a&keys=utf8', 'pk=a&keys=base64url&keys=text', 'PK=a', 'pk=a&Pk=b', 'pk[]=a', 'pk=a&__proto__=1', 'pk=a&constructor=x', 'pk=a&hasOwnProperty=x', 'pk=a&x', 'pk=a&=b', 'pk=a&%=b', 'pk=a&%ff=b', 'pk=a&utm_source=x', 'pk=a;sk=b&limit=1', 'pk=a#b', 'pk=a?pk=b&pk=c'].flatMap((query): Hostile[] =>
    ['PUT', 'GET'].map((method) => ({ why: 'a query that is not understood', method, target: `/v1/c/demo/items?${query}`, ...(method === 'PUT' ? { body: 'x' } : {}) })),
  ),
  ...['YQ==', 'YQ=', 'YR', 'Y', 'YQ%3D', 'Y Q', 'Y+Q', 'Y/Q', '%59Q', 'YQ\n', '', '=', 'A', '_-_', '!!!!', 'é'].map((pk): Hostile => ({ why: 'base64url that is none', method: 'PUT', target: `/v1/c/demo/items?pk=${pk}&keys=base64url`, body: 'x' })),
  { why: 'a key of 513 bytes', method: 'PUT', target: `/v1/c/demo/items/${'%C3%A9'.repeat(256)}a`, body: 'x' },
  { why: 'a key of 4,000 bytes', method: 'PUT', target: `/v1/c/demo/items/${'a'.repeat(4_000)}`, body: 'x' },
  { why: 'a key of 4,000 bytes in base64url', method: 'PUT', target: `/v1/c/demo/items?pk=${'A'.repeat(5_336)}&keys=base64url`, body: 'x' },
];

// Targets and methods -------------------------------------------------------------------------------------------------------

const TARGETS = [
  ...['', '*', '.', '?', 'v1/c', 'http://region/v1/c', 'http://evil.example/v1/c/demo/items/alice', 'HTTP://REGION/v1/keys', 'https://region:443/v1/keys', 'ftp://region/', 'region:80', '//evil.example/v1/c', '///v1/c', '/\\evil.example/v1/c', '\\v1\\c', '/.', '/..', '/./v1/c', '/../v1/c', '/v1/../v1/c', '/v1/./c', '/v1/%63', '/%76%31/c', '/v1/c/demo/../../keys', '/v1/c/demo/items/../../../keys', '/v1/c/demo/%2e%2e/keys', '/v1;x=1/c', '/v1/c;x', '/v1/c/demo;x/items/alice'],
  ...['/V1/C', '/v1/C/demo/items/alice', '/v1/c/demo/Items/alice', '/v1/c/demo/items%2falice', '/v1/c%2fdemo/items/alice', '/v1/c/demo%2Fitems%2Falice', '/v1/c/demo/items/alice%3Fpk=b/x/y', '/v1/keys/', '/v1/keys/../keys', '/v1/keys?x=1', '/v1/topology/', '/v1/topology?', '/v1/topology?x', '/v1/topology#x', '/v1/certificates;x', '/v1/regions', '/v1/jobs', '/v1/drills', '/v2/c', '/v1', '/v1/', '/api/v1/c', '/admin', '/.env', '/.git/config', '/actuator/health', '/server-status', '/cgi-bin/x', '/index.php?-s', '/wp-login.php', '/docs/../v1/keys', '/docs/%2e%2e/package.json', '/docs/problems/../../package.json', '/docs/problems/%2e%2e%2f%2e%2e%2fpackage', '/openapi.json/', '/openapi.yaml', '/metrics/', '/_region/hello', '/_region/inbox', '/_region/forward'],
];

const METHODS = ['POST', 'OPTIONS', 'PROPFIND', 'PROPPATCH', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'UNLOCK', 'SEARCH', 'REPORT', 'PURGE', 'LINK', 'UNLINK', 'BIND', 'QUERY', 'SUBSCRIBE', 'M-SEARCH', 'FOO', 'X', 'PUTT', 'get-', 'GETALL', '__proto__', 'constructor'];

const hostileTargets: readonly Hostile[] = [
  // `/v1/topology?` is the route itself, with an empty query.
  ...TARGETS.filter((target) => target !== '/v1/topology?').map((target): Hostile => ({ why: 'a target that is no route', method: 'GET', target })),
  ...['http://region/v1/c/demo/items/evil', '*', '//region/v1/c/demo/items/evil', '/v1/c/demo/items/evil#', '/v1/c/demo/items\\evil', '/v1/c/demo\\items/evil', '/v1\\c/demo/items/evil', '/_region/merge'].map((target): Hostile => ({ why: 'a write to a target that is no route', method: 'PUT', target, body: 'x' })),
  ...METHODS.map((method): Hostile => ({ why: 'a method that an item does not have', method, target: ITEM, ...(method === 'POST' ? { body: 'x' } : {}) })),
  ...['PUT', 'DELETE', 'PATCH', 'POST'].flatMap((method) => ['/v1/topology', '/v1/replication', '/v1/certificates', '/metrics', '/livez', '/openapi.json', '/docs', '/v1/c', '/v1/c/demo/scan', '/v1/c/demo/dump', '/v1/c/demo/ranges/a', '/v1/c/demo/explain/a', '/v1/c/demo/conflicts'].map((target): Hostile => ({ why: 'a method that a route does not have', method, target, body: '{}' }))),
  { why: 'a method in another field', method: 'POST', target: ITEM, headers: { 'x-http-method-override': 'DELETE' }, body: 'x' },
  { why: 'a method in the query', method: 'POST', target: `${ITEM}?_method=DELETE`, body: 'x' },
];

// Collections -----------------------------------------------------------------------------------------------------------------

const COLLECTIONS = ['_keys', '_collections', '_', '__proto__', '_%00', '%5fkeys', '%5Fkeys', '_keys%20', '%20_keys', 'demo%00', 'demo%20', '%20demo', 'Demo', 'DEMO', 'demo.', '.demo', '.', '..', '%2e', '%2e%2e', 'demo%2f..%2f_keys', 'demo%2F', '%2Fdemo', '%64emo%', 'dem%C3%B6', 'd%C3%A9mo', '%D0%B4%D0%B5%D0%BC%D0%BE', 'd%EF%BD%85mo', 'de%E2%80%8Bmo', 'demo%EF%BB%BF', '%F0%9F%98%80', 'x'.repeat(65), 'x'.repeat(3_000), 'constructor', 'toString', 'hasOwnProperty', '%ff', '%zz', '%', 'a%0d%0ab', '*', '%2a', 'demo*', 'demo;x', 'demo,carts', 'null', 'undefined', '-1', "demo'--", 'demo"', '$where', '{{7*7}}', '${jndi:ldap://x}'];

/** Names that are right but belong to nothing: a collection may be made of them, so they are only read and written to. */
const isName = (name: string): boolean => /^(?!_)[A-Za-z0-9_.-]{1,64}$/.test(name) && name !== '.' && name !== '..';

const hostileCollections: readonly Hostile[] = COLLECTIONS.flatMap((name): Hostile[] => [
  { why: 'a name that is no collection', method: 'PUT', target: `/v1/c/${name}/items/a`, body: 'x' },
  { why: 'a name that is no collection', method: 'GET', target: `/v1/c/${name}/scan` },
  ...(isName(name) ? [] : [{ why: 'a collection of a name that is none', method: 'PUT', target: `/v1/c/${name}`, body: '{}', headers: JSON_TYPE } as const]),
]);

// Fields ----------------------------------------------------------------------------------------------------------------------

const FIELDS: Readonly<Record<string, readonly string[]>> = {
  'if-match': ['', 'alice', '"', '""x', '"a', '"a" "b"', '"a",,"b"', '"a";x', "'a'", '"\u00e9"', '"a b"', 'W/a', '*,*', '"nobody has this"', 'W/"nobody"'],
  'if-none-match': ['', '"', '*x', '"a" *', '*'],
  'causal-context': ['', ' ', 'A', 'AAAA', '====', '../..', 'null', '{}', 'AQAA', 'AQEB', 'AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA', 'A'.repeat(8_000), 'A'.repeat(12_000), '____', 'AQAB\u00e9', '"AQAB"', 'AQAB, AQAB'],
  'idempotency-key': ['', ' ', '""', '"', 'a b', 'a\tb', '\u00e9', '\u0080', 'k'.repeat(256), 'k'.repeat(9_000)],
  'replicate-to': ['', '-1', '1', '99', '100', '1.0', '0x1', '1e1', '+1', ' 1 2', '()', '("")', '("eu-central-1"', '("EU")', '("a" "b")', '("../x")', '"eu-central-1"', 'all', '*', '1;x=2'],
  'item-ttl': ['', '0', '-1', '+1', '1.5', '1e9', '0x10', 'NaN', 'Infinity', '1,2', '1;2', '315360001', '99999999999999999999'],
  // The levels of later issues are not here: they are answered 501, as the contract says.
  consistency: ['', 'EVENTUAL', 'STRONG', 'eventual, strong', 'eventual;r=1', 'linearizable', 'none', '*', '"eventual"'],
  'content-digest': ['', 'x', 'sha-256', 'sha-256=', 'sha-256=::', 'sha-256=:AAAA:', `sha-256=:${'A'.repeat(43)}=:`, 'sha-512=:AAAA:', 'md5=:AAAA:', 'SHA-256=:AAAA:', `sha-256=:${'A'.repeat(43)}=`],
  'content-type': ['\u00e9', `text/${'x'.repeat(300)}`, '\u0080', 'application/json', 'application/vnd.x+json; charset=utf-8', 'APPLICATION/JSON'],
  'content-encoding': ['gzip', 'br', 'deflate', 'identity, gzip', 'x', '', 'GZIP'],
  'content-range': ['bytes 0-1/2', 'bytes */2', 'x', ''],
  'content-length': ['-1', 'x', '1e3', '99999999999', ''],
};

/** With the body `x`, which is no JSON. */
const hostileFields: readonly Hostile[] = Object.entries(FIELDS).flatMap(([name, values]) => values.map((value): Hostile => ({ why: `${name}: ${value.slice(0, 40)}`, method: 'PUT', target: ITEM, headers: { [name]: value }, body: 'x' })));

const READS: readonly Hostile[] = [
  ...['', 'x', ',,,', '=', 'return', 'siblings=', 'wait=-1', 'wait=99999', 'return=everything', `x=${'y'.repeat(5_000)}`, '__proto__=1'].map((prefer): Hostile => ({ why: 'a preference that nobody knows', method: 'GET', target: ITEM, headers: { prefer }, reads: true })),
  ...['x', '00-0-0-0', '\u00e9'].map((traceparent): Hostile => ({ why: 'a trace that is none', method: 'GET', target: ITEM, headers: { traceparent }, reads: true })),
  ...['', ';;', 'text/html', '*/*;q=x', 'a'.repeat(5_000)].map((accept): Hostile => ({ why: 'an Accept of one value', method: 'GET', target: ITEM, headers: { accept }, reads: true })),
  ...['x=y; __proto__=1', `x=${'y'.repeat(5_000)}`].map((cookie): Hostile => ({ why: 'a cookie', method: 'GET', target: ITEM, headers: { cookie }, reads: true })),
  { why: 'a host that is another', method: 'GET', target: ITEM, headers: { 'x-forwarded-host': 'evil.example', 'x-forwarded-prefix': '/evil', 'x-original-url': '/v1/keys', 'x-rewrite-url': '/v1/keys' }, reads: true },
  { why: 'a range', method: 'GET', target: ITEM, headers: { range: 'bytes=0-0,0-0,0-0' }, reads: true },
  { why: 'an empty query', method: 'GET', target: '/v1/topology?', reads: true },
];

const hostileReads: readonly Hostile[] = [
  ...['"', '"a', '*x', '"a" "b"'].map((tags): Hostile => ({ why: 'a read with a tag that is none', method: 'GET', target: ITEM, headers: { 'if-none-match': tags } })),
  ...['x', ''].map((consistency): Hostile => ({ why: 'a read at a level that is none', method: 'GET', target: '/v1/c/demo/scan', headers: { consistency } })),
  { why: 'a read that is to be replicated', method: 'GET', target: ITEM, headers: { 'replicate-to': '1' } },
];

// Listings --------------------------------------------------------------------------------------------------------------------

function* hostileListings(): Generator<Hostile> {
  const random = seededRandom(7);
  const cursors = ['', 'A', 'AA', 'AQ', '!', 'null', '..', '0', '1', 'AQ==', '%41%41', 'A'.repeat(CURSOR_CHARACTERS_MAX + 1), 'A'.repeat(10_000), ...Array.from({ length: 12 }, (_, at) => toBase64Url(Uint8Array.from([1, ...random.bytes(4 + 3 * at)])))];
  for (const cursor of cursors) for (const listing of ['ranges/alice', 'scan', 'dump', 'conflicts']) yield { why: 'a cursor that nobody gave', method: 'GET', target: `/v1/c/demo/${listing}?cursor=${cursor}` };
  for (const limit of ['0', '-1', '1001', '1e3', '0x10', '1.5', '', 'NaN', '99999999999', '%31', '1,2', 'all']) for (const listing of ['ranges/alice', 'scan', 'dump', 'conflicts']) yield { why: 'a limit that is none', method: 'GET', target: `/v1/c/demo/${listing}?limit=${limit}` };
  for (const query of ['ge=a&gt=b', 'le=a&lt=b', 'prefix=a&lt=b', 'ge=%ff', 'lt=%', 'order=DESC', 'order=asc&order=desc', 'order=1', 'reverse=true', 'ge[]=a', 'prefix=%ED%A0%80', 'ge=YQ==&keys=base64url', 'pk=b']) yield { why: 'a range that is none', method: 'GET', target: `/v1/c/demo/ranges/alice?${query}` };
  for (const query of ['state=all', 'state=', 'since=x', 'since=-1', 'since=2026-13-01', 'since=99999999999999999999', 'rule=lww']) yield { why: 'a list of conflicts that is none', method: 'GET', target: `/v1/c/demo/conflicts?${query}` };
  for (const id of ['x', '0', '%00', '..%2f..', '%2e%2e', "'", '0'.repeat(24), 'f'.repeat(5_000), '__proto__', '%ff', '%zz']) yield { why: 'a restore of what is not there', method: 'POST', target: `/v1/c/demo/conflicts/${id}/restore` };
  for (const id of ['x', '%00', '__proto__', 'constructor', 'admin', 'ADMIN', '%2e%2e', '%ff', 'x'.repeat(5_000)]) yield { why: 'a key that is not there', method: 'DELETE', target: `/v1/keys/${id}` };
  for (const id of ['x', '%00', '__proto__', '%2e%2e', '%ff']) yield { why: 'a reconciliation that is not there', method: 'GET', target: `/v1/reconcile/${id}` };
  for (const peer of ['x', '__proto__', 'eu-central-1', 'EU-CENTRAL-1', '%00', '%2e%2e', 'toString', '%ff']) for (const verb of ['pause', 'resume', 'dead/replay']) yield { why: 'a peer that is none', method: 'POST', target: `/v1/replication/${peer}/${verb}` };
}

// Bodies ----------------------------------------------------------------------------------------------------------------------

const deep = (levels: number, open = '[', close = ']'): string => open.repeat(levels) + close.repeat(levels);

/** No JSON, or JSON that two parsers may read differently, or that one of them does not survive. */
const NOT_JSON: readonly (string | Uint8Array)[] = [
  '', ' ', '{', '}', '{]', '[1,]', '{"a":1,}', "{'a':1}", '{a:1}', '{"a"}', '{"a":}', 'nul', 'NaN', 'Infinity', '-', '+1', '01', '1.', '.5', '1e', '0x10', '"', '"\n"', '"\\x"', '"\\u00"', '//x\n1', '/**/1', '1 2', '{}{}', 'undefined', '\ufeff{}', '\u0000', '{}\u0000', '\u000b{}', '\u00a0{}', deep(65), deep(100_000), deep(65, '{"a":', '}').replace(':}', ':1}'), '['.repeat(200_000),
  hex('7b22 ff 223a317d'), hex('22 c0af 22'), hex('22 eda080 22'), hex('22 f4908080 22'), hex('fffe7b007d00'), hex('feff007b007d'), hex('80'), hex('22 c3 22'),
];

/** JSON that is right, and must be kept to the byte. */
const ODD_JSON: readonly string[] = [
  'null', 'true', '0', '-0', '""', '[]', '{}', ' 1 ', '1e400', '-1e999999', '123456789012345678901234567890', '0.1000000000000000055511151231257827021181583404541015625', '{"a":1,"a":2}', '{"__proto__":{"x":1},"constructor":{"prototype":{"y":1}}}', '{"":1}', '{"\\u0000":1}', '"\\ud800"', '"\\udfff\\ud800"', '"\u2028\u2029"', '"\u{10ffff}"', '"\u007f"', deep(64), '{"toJSON":1,"then":2}', '"</script><script>alert(1)</script>"', `"${'x'.repeat(10_000)}"`,
];

const POLLUTING = ['{"__proto__":{"polluted":true}}', '{"constructor":{"prototype":{"polluted":true}}}', '{"__proto__":null}', '{"prototype":{}}', '{"hasOwnProperty":1}', '{"toString":1,"valueOf":1}', '{"__defineGetter__":1}'];

/** Of any route with a JSON body: not an object, or with what it does not know. */
const NO_BODY_OF_OURS: readonly string[] = ['null', 'true', '0', '"{}"', '[]', '[{}]', '{"unknown":1}', ...POLLUTING];

const ROUTES_WITH_JSON: readonly (readonly [string, string, string])[] = [
  ['POST', '/v1/c/demo/batch', '{"operations":[{"op":"put","pk":"evil","value":1}]'],
  ['PUT', '/v1/c/evil', '{"conflict":"lww"'],
  ['PATCH', '/v1/c/demo', '{"ttlSeconds":5'],
  ['POST', '/v1/keys', '{"scopes":["admin"]'],
  ['POST', '/v1/reconcile', '{"deep":false'],
];

const hostileBodies: readonly Hostile[] = [
  ...NOT_JSON.map((body): Hostile => ({ why: 'an item that is not JSON', method: 'PUT', target: ITEM, headers: JSON_TYPE, body })),
  ...ODD_JSON.map((body): Hostile => ({ why: 'an item that is odd JSON', method: 'PUT', target: '/v1/c/demo/items/odd', headers: JSON_TYPE, body, stores: { pk: utf8('odd'), sk: new Uint8Array(0), value: utf8(body) } })),
  ...NOT_JSON.map((body): Hostile => ({ why: 'a patch that is not JSON', method: 'PATCH', target: ITEM, headers: { 'content-type': 'application/merge-patch+json' }, body })),
  ...['{"a":1,"a":2}', '{"x":{"a":1,"b":2,"\\u0061":3}}', '[{"a":1,"a":1}]', '{"__proto__":1,"__proto__":2}'].map((body): Hostile => ({ why: 'a patch that names a member twice', method: 'PATCH', target: ITEM, headers: { 'content-type': 'application/merge-patch+json' }, body })),
  ...ROUTES_WITH_JSON.flatMap(([method, target, begun]): Hostile[] => [
    // An empty body is an empty object where every member may be absent.
    ...NOT_JSON.filter((body) => body !== '').map((body): Hostile => ({ why: 'a body that is not JSON', method, target, headers: JSON_TYPE, body })),
    ...NO_BODY_OF_OURS.map((body): Hostile => ({ why: 'a body that is another', method, target, headers: JSON_TYPE, body })),
    ...POLLUTING.map((body): Hostile => ({ why: 'a body with members of no use', method, target, headers: JSON_TYPE, body: `${begun},${body.slice(1)}` })),
    { why: 'a body with a member twice', method, target, headers: JSON_TYPE, body: `${begun},${begun.slice(1)}}` },
    { why: 'a body that is cut off', method, target, headers: JSON_TYPE, body: begun },
    { why: 'a body of another type', method, target, headers: { 'content-type': 'text/plain' }, body: `${begun}}` },
    { why: 'a body of a form', method, target, headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'operations=1' },
    { why: 'a body of parts', method, target, headers: { 'content-type': 'multipart/form-data; boundary=x' }, body: '--x--' },
    { why: 'a body that is coded', method, target, headers: { ...JSON_TYPE, 'content-encoding': 'gzip' }, body: `${begun}}` },
    { why: 'a body of 2 MiB', method, target, headers: JSON_TYPE, body: `${begun}}${' '.repeat(2 * 1024 * 1024)}` },
  ]),
  ...['{"operations":[{}]}', '{"operations":{}}', '{"operations":"x"}', '{"operations":[null]}', '{"operations":[[]]}', '{"operations":[{"op":"put"}]}', '{"operations":[{"op":"PUT","pk":"a","value":1}]}', '{"operations":[{"op":["put"],"pk":"a","value":1}]}', '{"operations":[{"op":"put","pk":["a"],"value":1}]}', '{"operations":[{"op":"put","pk":null,"value":1}]}', '{"operations":[{"op":"put","pk":"a","value":1,"ttlSeconds":1e999}]}', '{"operations":[{"op":"put","pk":"a","value":1,"ttlSeconds":"5"}]}', '{"operations":[{"op":"get","pk":"a","__proto__":{"op":"delete"}}]}', '{"length":1,"operations":{"0":{"op":"delete","pk":"alice"},"length":1}}', `{"operations":[${Array.from({ length: 101 }, () => '{"op":"delete","pk":"alice"}').join(',')}]}`].map((body): Hostile => ({ why: 'a batch that is none', method: 'POST', target: '/v1/c/demo/batch', headers: JSON_TYPE, body })),
  ...['{"scopes":"admin"}', '{"scopes":["admin","root"]}', '{"scopes":[null]}', '{"scopes":{"0":"admin","length":1}}', '{"scopes":["admin"],"collections":["_keys\\u0000"]}', '{"scopes":["admin"],"collections":["*","../x"]}', '{"scopes":["admin"],"expires":1e999}', '{"scopes":["admin"],"expires":"9999999-01-01"}', '{"scopes":["admin"],"id":"admin"}', '{"scopes":["admin"],"hash":"x"}', '{"scopes":["admin"],"prefixes":[1]}'].map((body): Hostile => ({ why: 'a key that is none', method: 'POST', target: '/v1/keys', headers: JSON_TYPE, body })),
  ...['{"conflict":"LWW"}', '{"conflict":null}', '{"regions":"eu-central-1"}', '{"regions":["eu-central-1",null]}', '{"regions":["EU-CENTRAL-1"]}', '{"replicas":"3"}', '{"replicas":-1}', '{"replicas":33}', '{"replicas":9007199254740993}', '{"ttlSeconds":0.5}', '{"ttlSeconds":1e400}', '{"maxValueBytes":262145}', '{"name":"x"}', '{"created":"x"}', '{"active":true}', '{"createdBy":"x"}', '{"group":"00000000"}', '{"state":"active"}'].map((body): Hostile => ({ why: 'a policy that is none', method: 'PUT', target: '/v1/c/evil', headers: JSON_TYPE, body })),
  { why: 'an item of 300 KiB', method: 'PUT', target: ITEM, body: new Uint8Array(300 * 1024) },
  { why: 'an item of one byte too many', method: 'PUT', target: ITEM, body: new Uint8Array(10 * 1024 - 4) },
];

/** All of them, each once. */
export function hostileRequests(): Hostile[] {
  const all = [...hostileKeys, ...generatedKeys(), ...hostileTargets, ...hostileCollections, ...hostileFields, ...hostileReads, ...READS, ...hostileListings(), ...hostileBodies];
  const seen = new Set<string>();
  return all.filter(({ method, target, headers, body }) => {
    const name = JSON.stringify([method, target, headers, typeof body === 'string' ? body : Buffer.from(body ?? []).toString('hex')]);
    return seen.has(name) ? false : seen.add(name) !== undefined;
  });
}
