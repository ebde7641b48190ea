import type { ControllerView } from '../../../../src/api/wire.ts';
import { ExitRequest } from '../../cli-error.ts';
import { CHANGE_TIMEOUT_MS } from '../../each-job.ts';
import { EXIT_CODES } from '../../exit-codes.ts';
import { printValue } from '../../output.ts';
import { ago, bytes, elapsed, localTime } from '../../screen/format.ts';
import { printable } from '../../screen/printable.ts';
import { renderFields } from '../../screen/table.ts';
import { keyOf, nameOf, verdictOf, type ControllerAction } from './action.ts';

export const show: ControllerAction = async (id, options, { cli, client, format }) => {
  const controller = await client.call('ControllerService.Get', keyOf(id, options));
  if (format !== 'table') return printValue(cli, format, controller);
  const { out } = cli.terminal;
  const look = { screenWidth: out.width, paint: out.paint };
  await out.write(renderFields(fieldsOf(controller, cli.nowMs()), look));
};

/** Ends with 1 when the controller is not valid, so that a script can tell. */
export const validate: ControllerAction = async (id, options, { cli, client, format }) => {
  const timing = { timeoutMs: CHANGE_TIMEOUT_MS };
  const controller = await client.call('ControllerService.Validate', keyOf(id, options), timing);
  const { is_valid: isValid, validate_info: info } = controller;
  if (format !== 'table') await printValue(cli, format, controller);
  else {
    const text = isValid && info !== undefined ? `valid: ${info}` : verdictOf(controller);
    await cli.terminal.out.write(`${printable(`${nameOf(controller)} is ${text}`)}\n`);
  }
  if (!isValid) throw new ExitRequest(EXIT_CODES.failed);
};

type Field = Parameters<typeof renderFields>[0][number];

function fieldsOf(controller: ControllerView, nowMs: number): readonly Field[] {
  const { is_valid: isValid, ports, probe } = controller;
  const at = (time: string | undefined): string | undefined =>
    time === undefined ? undefined : `${localTime(time)} (${ago(time, nowMs)})`;
  return [
    ['Controller', controller.id],
    ['Version', controller.version],
    ['Name', controller.name],
    ['Status', isValid ? 'valid' : 'invalid', isValid ? 'green' : 'red'],
    ['Found', controller.validate_info],
    ['Validated', at(controller.validated_at)],
    ['Image', controller.image],
    ['Pinned to', controller.digest],
    ['Library', controller.library_path],
    ['Format', controller.format],
    ['Procedure', controller.proc_name],
    ['Own path', controller.allow_path ? 'clients may name another library' : undefined],
    ['Port', `${ports.internal}${ports.external === 0 ? '' : `, on the host ${ports.external}`}`],
    ['Ready', probe.tcp === ports.internal ? undefined : `when port ${probe.tcp} accepts connections`],
    ['Sharing', sharingText(controller)],
    ['Instances', controller.max_instances === undefined ? undefined : `at most ${controller.max_instances}`],
    ['Kept ready', controller.warm === 0 ? undefined : String(controller.warm)],
    ['Start', durationText(controller.start_timeout)],
    ['Idle', durationText(controller.idle_timeout)],
    ['Resources', resourcesText(controller)],
    ['Variables', Object.keys(controller.env ?? {}).join(', ')],
    ['Description', controller.description],
    ['Source', controller.source],
    ['Created', at(controller.created_at)],
    ['Changed', at(controller.updated_at)],
  ];
}

function sharingText({ sharing, max_connections: max }: ControllerView): string {
  return max === undefined ? sharing : `${sharing}, at most ${max} connections each`;
}

function durationText(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : elapsed(ms);
}

function resourcesText({ resources: { cpu, memory, pids } = {} }: ControllerView): string {
  const parts = [
    cpu === undefined ? undefined : `${cpu} CPUs`,
    memory === undefined ? undefined : bytes(memory),
    pids === undefined ? undefined : `${pids} processes`,
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}
