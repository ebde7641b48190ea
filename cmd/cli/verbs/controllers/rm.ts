import { confirmed } from '../../confirm.ts';
import { printValue } from '../../output.ts';
import { printable } from '../../screen/printable.ts';
import { keyOf, nameOf, type ControllerAction } from './action.ts';

export const remove: ControllerAction = async (id, options, { cli, client, format }) => {
  const key = keyOf(id, options);
  if (options.yes !== true)
    await confirmed(
      `Take ${printable(nameOf(key))} out of the catalog?`,
      'clients that ask for it are refused then',
      cli,
    );
  const removed = await client.call('ControllerService.Remove', key);
  if (format !== 'table') return printValue(cli, format, removed);
  await cli.terminal.out.write(`${printable(nameOf(key))}  removed\n`);
};
