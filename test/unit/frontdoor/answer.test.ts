import { describe, expect, test } from 'vitest';
import { AnswerError, readAnswerHead, valueOf, type AnswerHead } from '../../../src/frontdoor/answer-head.ts';
import { isWholeText, textOf } from '../../../src/frontdoor/answer-text.ts';

const read = (text: string): AnswerHead | undefined => readAnswerHead(Buffer.from(text, 'latin1'));

function headOf(...lines: string[]): AnswerHead {
  const head = read(['HTTP/1.1 500 No', ...lines, '', ''].join('\r\n'));
  if (head === undefined) throw new Error('it is whole');
  return head;
}

describe('readAnswerHead', () => {
  test('gives the status, the fields as they came, and where they end', () => {
    const head = 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nX-Empty:\r\nx: a \t\r\n\r\n';
    expect(read(`${head}\u0082\u0000`)).toEqual({
      status: 101,
      fields: ['Upgrade', 'websocket', 'X-Empty', '', 'x', 'a'],
      end: head.length,
    });
  });

  test.each(['HTTP/1.0 200\r\n\r\n', 'HTTP/1.1 200 \r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n'])(
    'takes %j',
    (text) => {
      expect(read(text)).toMatchObject({ status: 200, fields: [] });
    },
  );

  test('waits for the end of the head', () => {
    const text = 'HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n';
    for (let length = 0; length < text.length; length += 1)
      expect(read(text.slice(0, length))).toBeUndefined();
  });

  test.each([
    'garbage\r\n\r\n',
    'HTTP/2 200 OK\r\n\r\n',
    'HTTP/1.1 0200 OK\r\n\r\n',
    'HTTP/1.1 600 X\r\n\r\n',
    'HTTP/1.1 200 OK\r\n: no name\r\n\r\n',
    'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
    'HTTP/1.1 200 OK\r\nspace : x\r\n\r\n',
    'HTTP/1.1 200 OK\r\nA: x\r\n folded\r\n\r\n',
    'HTTP/1.1 200 OK\r\nA: x\ry\r\n\r\n',
    'HTTP/1.1 200 OK\r\nA: x\ny\r\n\r\n',
    'HTTP/1.1 200 OK\r\nA: x\0y\r\n\r\n',
    'HTTP/1.1 200 O\nK\r\n\r\n',
    `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(17_000)}`,
    `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(17_000)}\r\n\r\n`,
  ])('refuses %.40j', (text) => {
    expect(() => read(text)).toThrow(AnswerError);
  });
});

describe('valueOf', () => {
  test('joins what was sent more than once, whatever its case', () => {
    expect(valueOf(['A', '1', 'b', '2', 'a', '3'], 'a')).toBe('1, 3');
    expect(valueOf(['A', '1'], '1')).toBeUndefined();
  });
});

describe('the text of a refusal', () => {
  const whole = (head: AnswerHead, body: string): boolean => isWholeText(head, Buffer.from(body));
  const text = (head: AnswerHead, body: string): string => textOf(head, Buffer.from(body));

  test('is as long as the head says', () => {
    const head = headOf('Content-Length: 4');
    expect([whole(head, 'abc'), whole(head, 'abcd')]).toEqual([false, true]);
    expect(text(head, 'abcdef')).toBe('abcd');
  });

  test('goes on until the connection ends, where it says nothing', () => {
    expect(whole(headOf(), 'abc')).toBe(false);
    expect(text(headOf(), ' abc\n')).toBe('abc');
  });

  test('comes in chunks', () => {
    const head = headOf('Transfer-Encoding: Chunked');
    const body = '3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n';
    expect([whole(head, body.slice(0, -1)), whole(head, body)]).toEqual([false, true]);
    expect(text(head, body)).toBe('abcde');
    expect(text(head, body.slice(0, 12))).toBe('abc');
    expect(text(head, 'zz\r\n')).toBe('');
  });

  test('is read up to 4 KiB', () => {
    const long = 'x'.repeat(5_000);
    expect(whole(headOf(), long)).toBe(true);
    expect(text(headOf('Content-Length: 5000'), long)).toHaveLength(4_096);
  });
});
