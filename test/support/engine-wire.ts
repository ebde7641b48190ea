import type { RuntimeErrorCode } from '../../src/runtime/errors.ts';

/** What the node in its process and the engine outside it say to each other: one JSON text a line. */
export type WireRequest =
  | { readonly id: number; readonly call: string; readonly args: readonly unknown[] }
  | { readonly abort: number };

export type WireAnswer =
  | { readonly result: unknown }
  | { readonly item: unknown }
  | { readonly end: true }
  | { readonly subscribed: true }
  | { readonly error: { readonly code: RuntimeErrorCode; readonly message: string } };
