// An answer before it is anybody's Response: status, fields and bytes. Routes that are asked very often give one, so that
// a door which needs no Response (direct.ts) writes it as it is.

export class Reply {
  readonly status: number;
  /** Its own: a door adds what it knows. */
  readonly headers: Record<string, string>;
  readonly body: Uint8Array | string | null;

  constructor(status: number, headers: Record<string, string>, body: Uint8Array | string | null) {
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

export const toResponse = (answer: Reply | Response): Response =>
  answer instanceof Reply ? new Response(answer.body as Uint8Array<ArrayBuffer> | string | null, { status: answer.status, headers: answer.headers }) : answer;

export async function toReply(answer: Response): Promise<Reply> {
  const bytes = answer.body === null ? null : new Uint8Array(await answer.arrayBuffer());
  return new Reply(answer.status, Object.fromEntries(answer.headers), bytes);
}
