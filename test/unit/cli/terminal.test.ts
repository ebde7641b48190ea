import { describe, expect, it } from 'vitest';
import { Screen } from '../../../cmd/cli/screen/terminal.ts';

function screenOf(stream: { isTTY: boolean; columns?: number; rows?: number }): Screen {
  return new Screen({ hasColors: () => false, ...stream } as unknown as NodeJS.WriteStream);
}

describe('the size of a screen', () => {
  it.each([
    ['a terminal', { isTTY: true, columns: 80, rows: 24 }, 80, 24],
    ['a terminal that was not told its size yet', { isTTY: true, columns: 0, rows: 0 }, undefined, undefined],
    ['a pipe', { isTTY: false, columns: 80, rows: 24 }, undefined, undefined],
  ])('of %s', (_what, stream, width, height) => {
    const screen = screenOf(stream);
    expect([screen.width, screen.height]).toEqual([width, height]);
  });
});
