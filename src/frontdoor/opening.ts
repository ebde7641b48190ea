import type { Duplex } from 'node:stream';
import type { JobId } from '../kernel/ids.ts';
import type { LeaseId } from '../instances/instances.ts';
import type { Handshake } from './handshake.ts';
import type { DoorQuery } from './query.ts';

/** What a client that was let in wants. */
export interface Wish {
  readonly query: DoorQuery;
  readonly handshake: Pick<Handshake, 'key' | 'passedOn'>;
  /** Address of the client. */
  readonly client: string;
}

/** Bytes both ways, counted: a socket, or something that passes for one. */
export type Channel = Duplex & {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Sends what was written, then closes. */
  destroySoon(): void;
};

/** A container that has agreed to speak WebSocket. Whoever has it releases the lease when it is over. */
export interface Opened {
  readonly channel: Channel;
  /** What came right behind its answer. */
  readonly head: Buffer;
  /** Fields of the answer to the client: name, value, name, value. */
  readonly fields: readonly string[];
  /** `id@version` of the catalog's entry; undefined where the client asked for a job. */
  readonly controller: string | undefined;
  readonly job: JobId;
  /** Undefined where the container does not depend on the connection, or is another node's. */
  readonly lease: LeaseId | undefined;
}
