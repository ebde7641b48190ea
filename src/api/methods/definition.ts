import type { z } from 'zod';
import type { ApiDependencies } from '../ports.ts';
import type { Caller, Scope } from '../tokens.ts';
import type { RpcMethodName, RpcMethods, RpcReason } from '../wire.ts';

/** Who makes a call, and when they have gone. */
export interface Call {
  readonly caller: Caller;
  /** Aborted when the client goes away before it has its answer. */
  readonly signal: AbortSignal;
}

/** Everything there is to say about a method: what it takes, who may call it, what it does, what it answers. */
export interface MethodDefinition<Name extends RpcMethodName, Schema extends z.ZodType = z.ZodType> {
  readonly summary: string;
  readonly scope: Scope;
  readonly params: Schema;
  /** Made only when the reference asks for it. */
  readonly result: () => z.ZodType<RpcMethods[Name]['result']>;
  /** Errors of its own, beside those of the protocol. */
  readonly errors: readonly RpcReason[];
  readonly handle: (
    params: z.output<Schema>,
    deps: ApiDependencies,
    call: Call,
    /** The same as they were sent, once they are checked: for what is kept as somebody wrote it. */
    sent: RpcMethods[Name]['params'],
  ) => RpcMethods[Name]['result'] | Promise<RpcMethods[Name]['result']>;
}

/** A definition whose schema takes what the wire types promise to a client; anything else does not compile. */
export function defineMethod<Name extends RpcMethodName>() {
  return <Schema extends z.ZodType>(
    definition: MethodDefinition<Name, Schema> &
      (RpcMethods[Name]['params'] extends z.input<Schema> ? unknown : never),
  ): MethodDefinition<Name, Schema> => definition;
}
