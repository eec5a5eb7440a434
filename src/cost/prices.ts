// What AWS asks for, as data: list prices in US dollars of us-east-1, without free tiers and discounts. Other regions ask
// for up to a half more. `seen`: in a price list or on a page of AWS of this year; `recalled`: not looked up again.

export interface Price {
  readonly dollars: number;
  /** For so many of the unit. */
  readonly per: number;
  readonly unit: string;
  readonly source: string;
  readonly certainty: 'seen' | 'recalled';
}

/** On this day the figures were put together. */
export const PRICES_DATE = '2026-11-20';
export const PRICES_REGION = 'us-east-1';

const MILLION = 1_000_000;
const DYNAMO = 'aws.amazon.com/dynamodb/pricing/on-demand';
const LAMBDA = 'aws.amazon.com/lambda/pricing';
const CLOUDWATCH = 'aws.amazon.com/cloudwatch/pricing';
const seen = (dollars: number, per: number, unit: string, source: string): Price => ({ dollars, per, unit, source, certainty: 'seen' });
const recalled = (dollars: number, per: number, unit: string, source: string): Price => ({ dollars, per, unit, source, certainty: 'recalled' });

export const PRICES = {
  /** The same for a table of one region and for each replica of a global table. */
  writeUnit: seen(0.625, MILLION, 'write request unit', DYNAMO),
  readUnit: seen(0.125, MILLION, 'read request unit', DYNAMO),
  stored: seen(0.25, 1, 'GB and month in a table', DYNAMO),
  recovery: seen(0.2, 1, 'GB and month of point-in-time recovery', DYNAMO),
  streamRead: recalled(0.2, MILLION, 'read of a stream by somebody else than Lambda', DYNAMO),
  queueRequest: recalled(0.4, MILLION, 'request to a standard queue, of up to 64 KiB', 'aws.amazon.com/sqs/pricing'),
  invocation: recalled(0.2, MILLION, 'invocation', LAMBDA),
  armSecond: recalled(13.3334, MILLION, 'GB-second on arm64', LAMBDA),
  edgeInvocation: seen(0.6, MILLION, 'invocation of Lambda@Edge', LAMBDA),
  edgeSecond: seen(50.01, MILLION, 'GB-second of Lambda@Edge', LAMBDA),
  edgeRequest: recalled(1, MILLION, 'HTTPS request to CloudFront', 'aws.amazon.com/cloudfront/pricing'),
  transfer: recalled(0.02, 1, 'GB to another region', 'aws.amazon.com/ec2/pricing/on-demand, data transfer'),
  schedule: recalled(1, MILLION, 'invocation by EventBridge Scheduler', 'aws.amazon.com/eventbridge/pricing'),
  alarm: recalled(0.1, 1, 'metric that an alarm watches, and month', CLOUDWATCH),
  metric: recalled(0.3, 1, 'metric of our own, and month', CLOUDWATCH),
  dashboard: recalled(3, 1, 'dashboard and month', CLOUDWATCH),
} as const satisfies Readonly<Record<string, Price>>;

export type PriceName = keyof typeof PRICES;

export const dollarsFor = (count: number, name: PriceName): number => (count * PRICES[name].dollars) / PRICES[name].per;
