import { z } from 'zod';
import type { RpcMethodName } from '../wire.ts';
import type { MethodDefinition } from './definition.ts';
import { defineMethod } from './definition.ts';
import { noParams } from './fields.ts';
import * as containerService from './container-service.ts';
import * as controllerService from './controller-service.ts';
import * as jobService from './job-service.ts';
import * as nodeService from './node-service.ts';
import * as peerService from './peer-service.ts';
import * as queueService from './queue-service.ts';
import * as sessionService from './session-service.ts';
import * as systemService from './system-service.ts';
import { openRpcDocument } from '../open-rpc.ts';

const discover = defineMethod<'rpc.discover'>()({
  summary: 'This very list of methods, as an OpenRPC document.',
  scope: 'read',
  params: noParams,
  result: () => z.record(z.string(), z.unknown()),
  errors: [],
  handle: (_params, deps) => openRpcDocument(METHODS, deps.health().version),
});

/** The one table of methods: it routes and checks calls, and the reference is made of it. */
export const METHODS = {
  'ContainerService.Create': containerService.create,
  'ContainerService.Status': containerService.status,
  'ContainerService.Stop': containerService.stop,
  'ContainerService.Remove': containerService.remove,
  'ContainerService.Logs': containerService.logs,
  'ContainerService.Stats': containerService.stats,
  'JobService.List': jobService.list,
  'JobService.Get': jobService.get,
  'JobService.Wait': jobService.wait,
  'JobService.Cancel': jobService.cancel,
  'JobService.History': jobService.history,
  'QueueService.Stats': queueService.stats,
  'QueueService.Pause': queueService.pause,
  'QueueService.Resume': queueService.resume,
  'ControllerService.List': controllerService.list,
  'ControllerService.Get': controllerService.get,
  'ControllerService.Register': controllerService.register,
  'ControllerService.Update': controllerService.update,
  'ControllerService.Remove': controllerService.remove,
  'ControllerService.Discover': controllerService.discover,
  'ControllerService.Validate': controllerService.validate,
  'ControllerService.Test': controllerService.test,
  'ControllerService.Resolve': controllerService.resolve,
  'SessionService.List': sessionService.list,
  'SessionService.Close': sessionService.close,
  'PeerService.List': peerService.list,
  'PeerService.Ping': peerService.ping,
  'PeerService.Identity': peerService.identity,
  'PeerService.Allow': peerService.allow,
  'PeerService.Deny': peerService.deny,
  'PeerService.Forget': peerService.forget,
  'NodeService.Info': nodeService.info,
  'NodeService.Drain': nodeService.drain,
  'NodeService.Undrain': nodeService.undrain,
  'SystemService.Version': systemService.version,
  'SystemService.Health': systemService.health,
  'rpc.discover': discover,
} satisfies { readonly [Name in RpcMethodName]: unknown } as {
  readonly [Name in RpcMethodName]: MethodDefinition<Name>;
};
