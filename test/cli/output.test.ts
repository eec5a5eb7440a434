// How things are shown, and what may not be: what others have stored must not steer a terminal.

import { expect, it } from 'vitest';
import { parseJsonExactly } from '../../src/cli/json.ts';
import { contentTypeOf, keyFields, showKey, showValue, valueFields } from '../../src/cli/keys.ts';
import { ago, bytes, count, duration, plural, printable, Progress, reflowed, shellWord, shortened, styleFor, table, widthOf } from '../../src/cli/output.ts';
import { FakeChannel } from './support.ts';

const PLAIN = styleFor({ colours: false });

it('a table stands in columns, also with wide characters', () => {
  expect(table([{ title: 'city' }, { title: 'n', right: true }], [['서울', '1'], ['São Paulo', '12']], PLAIN)).toBe('  city        n\n  서울        1\n  São Paulo  12\n');
  expect(widthOf('서울')).toBe(4);
  expect(shortened('서울서울', 5)).toBe('서울…');
});

it('figures have units', () => {
  expect([0.04, 3.14, 42, 3_200, 120_000, 7_200_000, 604_800_000].map(duration)).toEqual(['0.0 ms', '3.1 ms', '42 ms', '3.2 s', '2 min', '2 h', '7 d']);
  expect([12, 2_048, 20_480, 3 * 1_024 ** 2].map(bytes)).toEqual(['12 B', '2.0 KiB', '20 KiB', '3.0 MiB']);
  expect([count(1_234_567), plural(1, 'item'), plural(1_000, 'item')]).toEqual(['1,234,567', '1 item', '1,000 items']);
  expect(ago('2026-11-20T00:00:00Z', Date.parse('2026-11-20T00:05:00Z'))).toBe('5 min ago');
});

it('control characters are shown, not sent', () => {
  expect(printable('a\u001b[2Jb\u0007\n')).toBe('a\\u001b[2Jb\\u0007\\u000a');
  expect(printable('\u202Eevil')).toBe('\\u202eevil');
  expect(showKey('k\u001b[0m', undefined)).toBe('k\\u001b[0m');
});

it('words for a shell are quoted where they must be', () => {
  expect(['plain-1.2', 'two words', "it's", '$(rm)'].map(shellWord)).toEqual(['plain-1.2', "'two words'", "'it'\\''s'", "'$(rm)'"]);
});

it('keys and values that are not text', () => {
  const bytesOf = Uint8Array.of(0, 255);
  expect(keyFields({ collection: 'c', pk: bytesOf, sk: 'x' })).toEqual({ pkBase64: 'AP8=', sk: 'x' });
  expect(showKey(undefined, 'AP8=')).toBe('base64url:AP8');
  expect(showValue({ valueBase64: 'AP8=', contentType: 'image/png' })).toBe('2 B of image/png');
  expect(valueFields(Buffer.from('hi'), 'text/plain')).toEqual({ contentType: 'text/plain', text: 'hi', valueBase64: 'aGk=' });
  expect(valueFields(Buffer.from('{"a":1}'), 'application/json')).toEqual({ contentType: 'application/json', value: { a: 1 } });
});

it('JSON comes out as it went in', () => {
  const text = '{"id":12345678901234567890,"price":1.10,"list":[1e400,0.1,-5]}';
  expect(JSON.stringify(parseJsonExactly(text))).toBe(text);
});

it('the content type is said, or told by the source', () => {
  expect(contentTypeOf('json', { argument: true })).toBe('application/json');
  expect(contentTypeOf('application/x-thing', {})).toBe('application/x-thing');
  expect(contentTypeOf(undefined, { argument: true })).toBe('text/plain; charset=utf-8');
  expect(contentTypeOf(undefined, { file: 'a/cat.PNG' })).toBe('image/png');
  expect(contentTypeOf(undefined, {})).toBe('application/octet-stream');
});

it('paragraphs are broken between words to the width of the terminal; lists and commands stay as they are', () => {
  const text = 'Usage: archipel\n\nOne two three\nfour five.\n\nExamples:\n  archipel a command that is longer than that\n';
  expect(reflowed(text, 15)).toBe('Usage: archipel\n\nOne two three\nfour five.\n\nExamples:\n  archipel a command that is longer than that\n');
  expect(reflowed(text, 20)).toContain('\nOne two three four\nfive.\n');
});

it('progress is for terminals only', () => {
  const [terminal, file] = [new FakeChannel(true), new FakeChannel(false)];
  for (const channel of [terminal, file]) {
    const progress = new Progress(channel);
    progress.show('half', 0.5);
    progress.clear();
  }
  expect(terminal.text).toContain('████████████░░░░░░░░░░░░  50 % half');
  expect(terminal.text.endsWith('\r\x1b[2K')).toBe(true);
  expect(file.text).toBe('');
});
