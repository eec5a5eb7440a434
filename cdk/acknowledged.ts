// What cdk-nag finds in the stacks and is left as it is, with the reason. test/cdk/nag.test.ts holds the list to what is
// really found, both ways: a new finding needs a reason, or a change; a reason without its finding goes.

export interface Acknowledged {
  /** As cdk-nag names it, without a construct. */
  readonly finding: string;
  /** Of the constructs in a deployment named `archipel`. */
  readonly where: string;
  readonly reason: string;
}

export const ACKNOWLEDGED: readonly Acknowledged[] = [
  {
    finding: 'AwsSolutions-IAM5[Resource::arn:aws:logs:*:<AWS::AccountId>:log-group:/aws/lambda/archipel-edge:*]',
    where: 'archipel-edge/Role',
    reason: 'Lambda@Edge runs in whichever region is near the viewer and makes its log group there; the name of the group is exact. The star at the end stands for the streams of the group.',
  },
  { finding: 'AwsSolutions-CFR1', where: 'archipel-edge/Distribution', reason: 'A key-value store has no countries that it does not serve; who may call is decided by keys.' },
  { finding: 'AwsSolutions-CFR2', where: 'archipel-edge/Distribution', reason: 'A firewall costs $5 a month and $0.60 a million requests, and the same requests may go straight to a region. Keys, limits on every request and the concurrency of the functions protect the regions, wherever a request comes from.' },
  { finding: 'AwsSolutions-CFR3', where: 'archipel-edge/Distribution', reason: 'Access logs would hold the keys of items, which are clients’ data, in a place that nobody has asked for. The functions log what fails, under a request id.' },
  { finding: 'AwsSolutions-CFR4', where: 'archipel-edge/Distribution', reason: 'The certificate is CloudFront’s own, of its own domain: there CloudFront fixes the least version, whatever a template says. With a `domain`, TLS 1.2 is chosen.' },
];
