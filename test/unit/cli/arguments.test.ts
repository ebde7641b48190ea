import { describe, expect, it } from 'vitest';
import { splitArguments, wantsJsonErrors } from '../../../cmd/cli/split-arguments.ts';

describe('what is a command', () => {
  it.each([
    ['ps', [], 'ps', []],
    ['ps -a', [], 'ps', ['-a']],
    ['--address h:1 ps -a', ['--address', 'h:1'], 'ps', ['-a']],
    ['--address=h:1 -o json ps', ['--address=h:1', '-o', 'json'], 'ps', []],
    ['', [], undefined, []],
    ['--port 8080', [], undefined, ['--port', '8080']],
    ['--port 8080 ps', [], undefined, ['--port', '8080', 'ps']],
    ['--help', [], undefined, ['--help']],
    ['run app --address x', [], 'run', ['app', '--address', 'x']],
  ])('%j', (line, leading, verb, rest) => {
    expect(splitArguments(line === '' ? [] : line.split(' '))).toEqual({ leading, verb, rest });
  });
});

describe('whether errors are JSON', () => {
  it.each([
    ['ps -o json', undefined, true],
    ['ps --output=ndjson', undefined, true],
    ['ps --output yaml', undefined, false],
    ['ps', undefined, false],
    ['ps', 'json', true],
    ['ps -o table', 'json', false],
    ['run -- app -o json', undefined, false],
    ['ps -o', undefined, false],
  ])('%j with the variable %j: %s', (line, variable, expected) => {
    expect(wantsJsonErrors(line.split(' '), variable)).toBe(expected);
  });
});
