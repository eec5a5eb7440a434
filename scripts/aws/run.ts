// What every story on the local AWS begins and ends with: a report, a folder of its own, and a limit of time.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { freePorts, root } from '../lib/cluster.ts';
import { Report } from '../lib/report.ts';
import { LocalAws } from './local-aws.ts';
import { installMiniStack } from './ministack.ts';
import { skipIfUnavailable } from './venv.ts';

export interface RunOptions {
  readonly title: string;
  /** In the checkout; emptied first. */
  readonly folder: string;
  /** Of the whole run; what hangs must not look like what is slow. */
  readonly minutesMax: number;
  /** The front, the regions, the emulator. */
  readonly ports: number;
  readonly enforcesRights?: boolean;
  /** What can be told before anything is started. */
  readonly before?: (report: Report) => Promise<void>;
}

export interface AwsRun {
  readonly aws: LocalAws;
  readonly report: Report;
  readonly folder: string;
  /** It was told to its end. */
  readonly end: () => void;
}

/** Where Python, or a package of PyPI, cannot be had, it says so and the process ends well: nothing was tested, and nothing failed. */
export async function begin({ title, folder: name, minutesMax, ports, enforcesRights = false, before }: RunOptions): Promise<AwsRun> {
  const folder = join(root, name);
  rmSync(folder, { recursive: true, force: true });
  const report = new Report(title);
  const say = (step: string, seconds: number): void => report.note(`${seconds.toFixed(1).padStart(6)} s  ${step}`);
  const overdue = setTimeout(() => {
    console.error(`not within ${minutesMax} minutes`);
    process.exit(1);
  }, minutesMax * 60_000);
  try {
    await before?.(report);
    await installMiniStack();
  } catch (error) {
    skipIfUnavailable(error);
    process.exit(process.exitCode);
  }
  const port = await freePorts(ports);
  const aws = await LocalAws.start({ regions: '3', port, emulatorPort: port + ports - 1, folder, enforcesRights, say });
  const end = (): void => {
    clearTimeout(overdue);
    report.end();
  };
  return { aws, report, folder, end };
}
