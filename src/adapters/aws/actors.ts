// An actor as an item of the table names it: short, because the names of attributes are billed with every write. A region of
// AWS is one character and the incarnation, the head of its table's id, six more. Any other actor is named by its text.

import { utf8, utf8Text, type ByteReader, type ByteWriter } from '../../core/bytes.ts';
import { invariant } from '../../core/errors.ts';
import { MalformedError } from '../../core/version/codec.ts';
import { makeActor, parseActor, type ActorId, type RegionId } from '../../core/version/dot.ts';

/** Hexadecimal digits of an incarnation that fit: 36 bits, six characters of 64. */
export const INCARNATION_DIGITS = 9;

/** Stored: a region's character is its place here. Append only. */
const REGIONS = (
  'us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 ca-west-1 mx-central-1 sa-east-1 eu-central-1 eu-central-2 eu-west-1 eu-west-2 eu-west-3 ' +
  'eu-north-1 eu-south-1 eu-south-2 ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-south-2 ap-southeast-1 ap-southeast-2 ap-southeast-3 ' +
  'ap-southeast-4 ap-southeast-5 ap-southeast-6 ap-southeast-7 ap-east-1 ap-east-2 me-central-1 me-south-1 il-central-1 af-south-1'
).split(' ');
const CHARACTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const BY_TEXT = '~';
const SHORT = new RegExp(`^(.+)~([0-9a-f]{${INCARNATION_DIGITS}})$`);
const CHARACTERS_OF_INCARNATION = 6;
/** Region and 36 bits in whole bytes. */
const SHORT_BYTES = 6;

interface Short {
  readonly region: number;
  readonly incarnation: number;
}

function shortOf(actor: ActorId): Short | undefined {
  const [, name = '', digits = ''] = SHORT.exec(actor) ?? [];
  const region = REGIONS.indexOf(name);
  return region < 0 ? undefined : { region, incarnation: Number.parseInt(digits, 16) };
}

const actorOf = ({ region, incarnation }: Short): ActorId => makeActor((REGIONS[region] ?? '') as RegionId, incarnation.toString(16).padStart(INCARNATION_DIGITS, '0'));

/** Two characters or more, so that it is never one of our one-letter attributes; nor a key of the table. */
export function actorName(actor: ActorId): string {
  const short = shortOf(actor);
  if (short === undefined) return BY_TEXT + actor;
  let rest = short.incarnation;
  let characters = '';
  for (let at = 0; at < CHARACTERS_OF_INCARNATION; at++) {
    characters = CHARACTERS.charAt(rest % 64) + characters;
    rest = Math.floor(rest / 64);
  }
  return CHARACTERS.charAt(short.region) + characters;
}

/** Undefined for the name of an attribute that is no actor's. */
export function actorNamed(name: string): ActorId | undefined {
  if (name.startsWith(BY_TEXT)) return parseActor(name.slice(1));
  const places = [...name].map((character) => CHARACTERS.indexOf(character));
  const [region = -1, ...rest] = places;
  if (rest.length !== CHARACTERS_OF_INCARNATION || REGIONS[region] === undefined || places.includes(-1)) return undefined;
  return actorOf({ region, incarnation: rest.reduce((sum, place) => sum * 64 + place, 0) });
}

/** Within binary attributes. */
export function writeActor(out: ByteWriter, actor: ActorId): ByteWriter {
  const short = shortOf(actor);
  if (short !== undefined) return out.u8(short.region).u8(Math.floor(short.incarnation / 2 ** 32)).u32(short.incarnation % 2 ** 32);
  const text = utf8(actor);
  invariant(text.length < 256, 'the text of an actor is short');
  return out.u8(BY_TEXT.charCodeAt(0)).u8(text.length).bytes(text);
}

export function readActor(reader: ByteReader): ActorId {
  if (reader.left < 2) throw new MalformedError('An item of the table names no actor.');
  const first = reader.u8();
  if (first !== BY_TEXT.charCodeAt(0)) {
    if (REGIONS[first] === undefined || reader.left < SHORT_BYTES - 1) throw new MalformedError('An item of the table names an unknown actor.');
    return actorOf({ region: first, incarnation: reader.u8() * 2 ** 32 + reader.u32() });
  }
  const length = reader.u8();
  const actor = length > reader.left ? undefined : parseActor(utf8Text(reader.bytes(length)) ?? '');
  if (actor === undefined) throw new MalformedError('An item of the table names no actor.');
  return actor;
}
