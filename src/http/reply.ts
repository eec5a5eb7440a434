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

/** An answer that may have a body and has none says so: a server would else frame nothing in chunks. RFC 9110, 8.6. */
export const isToldEmpty = ({ status, body }: Pick<Reply, 'status' | 'body'>): boolean => body === null && status !== 204 && status !== 304;

export function toResponse(answer: Reply | Response): Response {
  if (!(answer instanceof Reply)) return answer;
  const headers = isToldEmpty(answer) ? { ...answer.headers, 'content-length': '0' } : answer.headers;
  return new Response(answer.body as Uint8Array<ArrayBuffer> | string | null, { status: answer.status, headers });
}

export async function toReply(answer: Response): Promise<Reply> {
  const bytes = answer.body === null ? null : new Uint8Array(await answer.arrayBuffer());
  return new Reply(answer.status, Object.fromEntries(answer.headers), bytes);
}
