import { describe, expect, it } from 'vitest';
import { FIRST_RECORDS, LONG_MS, RECORDS_MAX, RECORDS_MIN, SendWindow, SOON_MS } from '../../src/core/routing/send-window.ts';

/** How many records may be under way at once. */
function sizeOf(window: SendWindow): number {
  window.left(1);
  let records = 1;
  while (window.hasRoomFor(records)) records++;
  window.answered(1, (SOON_MS + LONG_MS) / 2); // says nothing
  return records;
}

function answer(window: SendWindow, records: number, tookMs: number): void {
  window.left(records);
  window.answered(records, tookMs);
}

describe('the window of a catch-up', () => {
  it('is of its first size, and whatever is under way takes room in it', () => {
    const window = new SendWindow();
    expect(sizeOf(window)).toBe(FIRST_RECORDS);
    window.left(FIRST_RECORDS - 10);
    expect(window.hasRoomFor(10)).toBe(true);
    expect(window.hasRoomFor(11)).toBe(false);
    window.answered(FIRST_RECORDS - 10, LONG_MS);
    expect(window.hasRoomFor(FIRST_RECORDS)).toBe(true);
  });

  it('one message always has room, however large', () => {
    const window = new SendWindow();
    expect(window.hasRoomFor(RECORDS_MAX * 2)).toBe(true);
    window.left(RECORDS_MAX * 2);
    expect(window.hasRoomFor(1)).toBe(false);
  });

  it('answered soon -> grows by what was answered, to its largest', () => {
    const window = new SendWindow();
    answer(window, 500, SOON_MS);
    expect(sizeOf(window)).toBe(FIRST_RECORDS + 500);
    for (let at = 0; at < 20; at++) answer(window, 1_000, 0);
    expect(sizeOf(window)).toBe(RECORDS_MAX);
  });

  it('answered neither soon nor late -> stays', () => {
    const window = new SendWindow();
    answer(window, 500, SOON_MS + 1);
    answer(window, 500, LONG_MS);
    expect(sizeOf(window)).toBe(FIRST_RECORDS);
  });

  it.each([
    ['answered late', (window: SendWindow) => answer(window, 500, LONG_MS + 1)],
    ['not answered', (window: SendWindow) => (window.left(500), window.failed(500))],
  ])('%s -> half as large, to its smallest', (_, happens) => {
    const window = new SendWindow();
    happens(window);
    expect(sizeOf(window)).toBe(FIRST_RECORDS / 2);
    for (let at = 0; at < 20; at++) happens(window);
    expect(sizeOf(window)).toBe(RECORDS_MIN);
  });
});
