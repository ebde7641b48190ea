import { connect } from 'node:net';
import type { CrowdAnswers, CrowdTask } from './crowd.ts';

const HEAD_END = '\r\n\r\n';

/** One client: its status, and whether it was told when to come again. Gone when it is not led anywhere, or has stayed for so long. */
async function visit(
  port: number,
  request: string,
  stayMs: number,
): Promise<{ status: string; comesAgain: boolean }> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    if (text.includes(HEAD_END)) resolve();
  });
  socket.on('error', () => undefined).on('close', () => resolve());
  socket.write(request);
  await promise;
  const status = text.slice(9, 12);
  if (status !== '101') socket.destroy();
  else if (stayMs < Infinity) setTimeout(() => socket.destroy(), stayMs);
  return { status, comesAgain: /\r\nRetry-After: \d+\r\n/.test(text) };
}

process.once('message', ({ port, requests, stayMs }: CrowdTask) => {
  const visits = requests.map((request) => visit(port, request, stayMs ?? Infinity));
  void Promise.all(visits).then((answers) => {
    const statuses: Record<string, number> = {};
    for (const { status } of answers) statuses[status] = (statuses[status] ?? 0) + 1;
    const toldWhen = answers.filter(({ comesAgain }) => comesAgain).length;
    process.send?.({ statuses, toldWhen } satisfies CrowdAnswers);
  });
});
