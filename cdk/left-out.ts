// What a bundle does not take of the packages, and of our own code, that it uses: modules that are linked in, and that nothing
// in a function calls. In the place of each stands one that throws, under its name, when something calls it after all. And
// modules of which a part is enough.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { OnLoadResult, Plugin } from 'esbuild';
import type { Service } from '../functions/commons/endpoints.ts';

/** Bundles that hold the SDK's client of DynamoDB, that of SQS, hono, the app of a region; and the edge's. */
export type Holder = 'sdk' | 'sqs' | 'hono' | 'app' | 'edge';

interface LeftOut {
  /** The end of its path. */
  readonly module: string;
  readonly of: Holder;
  readonly exports: readonly string[];
  readonly why: string;
}

const smithy = (path: string): string => `@smithy/core/dist-es/submodules/${path}.js`;

/** Of src/http/answers.ts. */
const ANSWERS = ['batchAnswer', 'certificatesAnswer', 'collectionAnswer', 'conflictPage', 'deadLettersAnswer', 'explainAnswer', 'groupAnswer', 'itemPage', 'keyAnswer', 'keysAnswer', 'listedItem', 'listedValue', 'problem', 'reconcileAnswer', 'replicationAnswer', 'restoreAnswer', 'siblingsAnswer', 'topologyAnswer', 'topologyChanged'];

export const LEFT_OUT: readonly LeftOut[] = [
  { module: smithy('event-streams/index'), of: 'sdk', exports: ['EventStreamSerde', 'eventStreamSerdeProvider'], why: 'no operation that is used answers with a stream of events' },
  { module: smithy('checksum/sha256/Sha256Js'), of: 'sdk', exports: ['Sha256Js'], why: 'Node has it' },
  { module: smithy('checksum/md5/Md5Js'), of: 'sqs', exports: ['Md5Js'], why: 'Node has it' },
  { module: smithy('retry/util-retry/AdaptiveRetryStrategy'), of: 'sdk', exports: ['AdaptiveRetryStrategy'], why: 'a client tries once; our own layer retries' },
  { module: smithy('config/config-resolver/regionConfig/getInstanceMetadataRegion'), of: 'sdk', exports: ['getInstanceMetadataRegion'], why: 'a client is told its region' },
  { module: smithy('endpoints/middleware-endpoint/service-customizations/s3'), of: 'sdk', exports: ['DOT_PATTERN', 'S3_HOSTNAME_PATTERN', 'isArnBucketName', 'isDnsCompatibleBucketName', 'resolveParamsForS3'], why: 'S3 is not used' },
  { module: '@aws-sdk/core/dist-es/submodules/client/util-endpoints/lib/aws/partitions.js', of: 'sdk', exports: ['partitionsInfo'], why: 'plain-endpoint.ts asks for no partition' },
  { module: 'hono/dist/utils/mount.js', of: 'hono', exports: ['createMountedRequest'], why: 'no app of others is mounted' },
  { module: 'hono/dist/utils/html.js', of: 'hono', exports: ['HtmlEscapedCallbackPhase', 'resolveCallback'], why: 'a page is a Response of ours' },
  { module: 'hono/dist/utils/body.js', of: 'hono', exports: ['parseBody'], why: 'no body is a form' },
  { module: 'src/http/answers.ts', of: 'app', exports: ANSWERS, why: 'nothing is held against the schema of an answer' },
  { module: 'src/http/json.ts', of: 'edge', exports: ['parseUnambiguousJson'], why: 'the edge passes bodies on and reads none' },
];

interface Replaced {
  readonly module: string;
  readonly of: Holder;
  readonly by: (path: string) => OnLoadResult;
}

/** Functions: what is a class there is made with `new`, and a function may be too. */
const standIn = (module: string, exports: readonly string[]): string =>
  `function leftOut() { throw new Error(${JSON.stringify(`${module} is left out of this bundle`)}); }\nexport { ${exports.map((name) => `leftOut as ${name}`).join(', ')} };`;

/** Refusals of DynamoDB that bring more than a name and a message. Of the others nothing else is read (failures.ts), and the SDK knows a name without them. */
const READ_REFUSALS = new Set(['ConditionalCheckFailedException', 'TransactionCanceledException']);
const REGISTERED = /^n0_registry\.registerError\((\w+)\$, \1\);$/gm;

function fewRefusals(path: string): string {
  const contents = readFileSync(path, 'utf8');
  const kept = [...contents.matchAll(REGISTERED)].filter(([, name = '']) => READ_REFUSALS.has(name));
  if (kept.length !== READ_REFUSALS.size) throw new Error('The SDK registers refusals in another way.');
  return contents.replaceAll(REGISTERED, (line, name: string) => (READ_REFUSALS.has(name) ? line : ''));
}

/** In Lambda's machines there are none, and the SDK would look for two at each cold start. */
const NO_FILES_OF_SETTINGS = `export const CONFIG_PREFIX_SEPARATOR = '.';\nexport const loadSharedConfigFiles = async () => ({ configFile: {}, credentialsFile: {} });`;

const onlyVersion = (path: string): string => JSON.stringify({ version: (JSON.parse(readFileSync(path, 'utf8')) as { readonly version: string }).version });

const plainEndpoint = (service: Service): OnLoadResult => ({
  contents: `import { plainEndpoint } from './plain-endpoint.ts';\nexport const defaultEndpointResolver = plainEndpoint(${JSON.stringify(service)});`,
  resolveDir: fileURLToPath(new URL('../functions/commons', import.meta.url)),
});

const REPLACED: readonly Replaced[] = [
  ...LEFT_OUT.map(({ module, of, exports }): Replaced => ({ module, of, by: () => ({ contents: standIn(module, exports) }) })),
  { module: smithy('config/shared-ini-file-loader/loadSharedConfigFiles'), of: 'sdk', by: () => ({ contents: NO_FILES_OF_SETTINGS }) },
  { module: '@aws-sdk/client-dynamodb/dist-es/schemas/schemas_0.js', of: 'sdk', by: (path) => ({ contents: fewRefusals(path) }) },
  { module: '@aws-sdk/client-dynamodb/dist-es/endpoint/endpointResolver.js', of: 'sdk', by: () => plainEndpoint({ variable: 'DYNAMODB', host: 'dynamodb' }) },
  { module: '@aws-sdk/client-sqs/dist-es/endpoint/endpointResolver.js', of: 'sqs', by: () => plainEndpoint({ variable: 'SQS', host: 'sqs' }) },
  { module: '@aws-sdk/client-dynamodb/package.json', of: 'sdk', by: (path) => ({ contents: onlyVersion(path), loader: 'json' }) },
  { module: '@aws-sdk/client-sqs/package.json', of: 'sqs', by: (path) => ({ contents: onlyVersion(path), loader: 'json' }) },
];

const ending = (module: string): RegExp => new RegExp(`[\\\\/]${module.replaceAll('.', '\\.').replaceAll('/', '[\\\\/]')}$`);

/** Fails the build when one of these modules is not met: then what it holds comes from another, and the rest may not fit. */
export const leftOut = (holders: readonly Holder[]): Plugin => ({
  name: 'left-out',
  setup: (esbuild) => {
    const missing = new Set<string>();
    for (const { module, by } of REPLACED.filter(({ of }) => holders.includes(of))) {
      missing.add(module);
      esbuild.onLoad({ filter: ending(module) }, ({ path }) => {
        missing.delete(module);
        return by(path);
      });
    }
    esbuild.onEnd(() => ({ errors: [...missing].map((module) => ({ text: `cdk/left-out.ts leaves out ${module}, which is not there.` })) }));
  },
});

/** Of the registry of problems, what a code names. What it can throw, it names. */
export const problemsNamedIn = (code: string): Plugin => ({
  name: 'problems-named',
  setup: (esbuild) =>
    esbuild.onLoad({ filter: ending('src/http/problems.json') }, ({ path }) => {
      const problems = JSON.parse(readFileSync(path, 'utf8')) as Readonly<Record<string, object>>;
      return { contents: JSON.stringify(Object.fromEntries(Object.entries(problems).filter(([name]) => code.includes(name)))), loader: 'json' };
    }),
});
