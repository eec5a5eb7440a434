// AWS on this machine: MiniStack, an emulator from PyPI, in a virtual environment of its own that git ignores. It keeps
// everything in memory, runs functions as processes of the Node that runs this, and listens on loopback only.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { until } from '../lib/cluster.ts';
import type { Environment } from '../lib/run.ts';
import { install, programOf, type Venv } from './venv.ts';

export const ACCOUNT = '111122223333';
/** Of the account's root, for whom the emulator checks no rights. */
export const ROOT = { accessKeyId: 'test', secretAccessKey: 'test' } as const;

const VENV: Venv = { folder: '.venv-aws', requirements: 'requirements.txt', what: 'The local AWS' };
const PYTHON = programOf(VENV, 'python');

/** Ends when the pipe to its parent does, however the parent ended. */
const PROGRAM = `
import os, signal, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os.kill(os.getpid(), signal.SIGTERM)), daemon=True).start()
from ministack.core import iam_evaluator

# Which rights are used, and by whom, and what is refused: a line for each, when it is judged first.
if os.environ.get("RIGHTS_LOG"):
    import json
    judge, enforced, seen = iam_evaluator.evaluate, iam_evaluator.enforce, set()

    def note(*columns):
        line = json.dumps(columns)
        if line in seen:
            return
        seen.add(line)
        with open(os.environ["RIGHTS_LOG"], "a") as log:
            log.write(line + "\\n")

    def evaluate(context, policies, *limits):
        result = judge(context, policies, *limits)
        if result.decision == "Allow":
            note(context.principal_arn, context.action, context.resource_arn, "Allow")
        return result

    def enforce(key, action, service, region, resource_arn="*", *rest, **more):
        result = enforced(key, action, service, region, resource_arn, *rest, **more)
        if isinstance(result, iam_evaluator.EvalResult):
            note(result.principal_arn, action, resource_arn, "Deny")
        return result

    iam_evaluator.evaluate, iam_evaluator.enforce = evaluate, enforce

    # Rights on a stream are judged by its name, as AWS does: the emulator knows the names of tables only.
    from ministack.core import iam_actions
    from ministack.services import dynamodb_streams
    of_others = iam_actions.extract_resource_arn

    def extract_resource_arn(service, method, path, headers, body, *rest):
        if service != "dynamodbstreams":
            return of_others(service, method, path, headers, body, *rest)
        asked = json.loads(body or b"{}")
        iterator = dynamodb_streams._decode_iterator(asked.get("ShardIterator") or "") or {}
        return asked.get("StreamArn") or iterator.get("arn") or "*"

    iam_actions.extract_resource_arn = extract_resource_arn

from ministack.app import main
main()
`;

/** @throws Error with one sentence where there is no Python */
export const installMiniStack = (): Promise<void> => install(VENV);

/** What makes the SDKs and the CDK speak with the emulator, and with nothing else. */
export const environmentFor = (url: string): Environment => ({
  AWS_ENDPOINT_URL: url,
  AWS_ACCESS_KEY_ID: ROOT.accessKeyId,
  AWS_SECRET_ACCESS_KEY: ROOT.secretAccessKey,
  AWS_SESSION_TOKEN: undefined,
  AWS_PROFILE: undefined,
  AWS_CONFIG_FILE: '/dev/null',
  AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
  AWS_EC2_METADATA_DISABLED: 'true',
  AWS_REGION: 'us-east-1',
});

/** For what we ask without an SDK: the emulator reads from it which account and region are meant. */
export const signedFor = (service: string, region: string): { readonly authorization: string } => ({
  authorization: `AWS4-HMAC-SHA256 Credential=${ROOT.accessKeyId}/20260101/${region}/${service}/aws4_request, SignedHeaders=host, Signature=0`,
});

export class MiniStack {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(url: string, started: ChildProcess) {
    this.url = url;
    this.#process = started;
  }

  /** `rightsLog`: the rights of roles are enforced, and each that is asked for is noted there. */
  static async start(port: number, logFile: string, rightsLog?: string): Promise<MiniStack> {
    const folder = dirname(logFile);
    // It unpacks functions there, and leaves them behind.
    const temporary = join(folder, 'tmp');
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary);
    writeFileSync(join(temporary, 'package.json'), '{ "type": "commonjs" }'); // what runs the functions is; this repository is not
    const log = openSync(logFile, 'w');
    const child = spawn(PYTHON, ['-c', PROGRAM], { cwd: folder, env: { ...process.env, ...settings(port), ...(rightsLog === undefined ? {} : { AUTH: 'true', RIGHTS_LOG: rightsLog }), TMPDIR: temporary }, stdio: ['pipe', log, log], detached: true });
    const url = `http://127.0.0.1:${port}`;
    const emulator = new MiniStack(url, child);
    await until('the emulator answers', async () => {
      if (child.exitCode !== null) throw new Error(`The emulator did not start:\n${readFileSync(logFile, 'utf8')}`);
      return fetch(`${url}/_ministack/health`).then(({ ok }) => ok, () => false);
    });
    return emulator;
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** Ends the processes that run one of these functions, in the middle of whatever they do. Answers how many there were. Linux only. */
  killWorkers(...functionNames: readonly string[]): number {
    const wanted = new Set(functionNames.map((name) => `AWS_LAMBDA_FUNCTION_NAME=${name}`));
    const workers = descendants(this.pid).filter((pid) => environmentOf(pid).some((variable) => wanted.has(variable)));
    for (const pid of workers) process.kill(pid, 'SIGKILL');
    return workers.length;
  }

  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (this.hasEnded) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM');
    const force = setTimeout(() => this.#process.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(force);
  }
}

function descendants(pid: number): number[] {
  const parents = readdirSync('/proc').flatMap((name): [number, number][] => {
    const parent = /^[0-9]+$/.test(name) ? / \S (\d+) /.exec(readOr(`/proc/${name}/stat`).replace(/^.*\)/, ''))?.[1] : undefined;
    return parent === undefined ? [] : [[Number(name), Number(parent)]];
  });
  const found = [pid];
  for (const each of found) found.push(...parents.filter(([, parent]) => parent === each).map(([child]) => child));
  return found.slice(1);
}

const environmentOf = (pid: number): string[] => readOr(`/proc/${pid}/environ`).split('\0');

/** A process may have ended in between. */
function readOr(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

const settings = (port: number): Environment => ({
  // The first node that it finds runs the functions, whatever runtime they ask for.
  PATH: `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`,
  BIND_HOST: '127.0.0.1',
  GATEWAY_PORT: String(port),
  MINISTACK_ACCOUNT_ID: ACCOUNT,
  SFTP_ENABLED: '0',
  IOT_MTLS_ENABLED: '0',
  LOG_LEVEL: 'WARNING',
  // Every environment is a process of 70 MB.
  LAMBDA_WARM_TTL_SECONDS: '30',
  NODE_OPTIONS: undefined,
});
