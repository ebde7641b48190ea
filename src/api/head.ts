/** What the API reads of a request's header fields. */
export interface RequestHead {
  host: string | undefined;
  origin: string | undefined;
  secFetchSite: string | undefined;
  authorization: string | undefined;
  contentType: string | undefined;
  contentLength: string | undefined;
  contentEncoding: string | undefined;
  transferEncoding: string | undefined;
  lastEventId: string | undefined;
  accept: string | undefined;
  /** The first field that was sent twice although it has one value. */
  duplicate: string | undefined;
  /** A proxy says that it speaks for somebody else. */
  isForwarded: boolean;
  headerBytes: number;
}

type SingleField = Exclude<keyof RequestHead, 'duplicate' | 'isForwarded' | 'headerBytes'>;

const SINGLE_FIELDS: ReadonlyMap<string, SingleField> = new Map([
  ['host', 'host'],
  ['origin', 'origin'],
  ['sec-fetch-site', 'secFetchSite'],
  ['authorization', 'authorization'],
  ['content-type', 'contentType'],
  ['content-length', 'contentLength'],
  ['content-encoding', 'contentEncoding'],
  ['transfer-encoding', 'transferEncoding'],
  ['last-event-id', 'lastEventId'],
  ['accept', 'accept'],
]);

/** What proxies add, besides everything that begins with `x-forwarded-`. */
const FORWARDING_FIELDS: ReadonlySet<string> = new Set([
  'forwarded',
  'via',
  'x-real-ip',
  'cf-connecting-ip',
  'true-client-ip',
]);

function isForwardingField(lowerName: string): boolean {
  return lowerName.startsWith('x-forwarded-') || FORWARDING_FIELDS.has(lowerName);
}

/** `: ` and the line end. */
const LINE_OVERHEAD_BYTES = 4;

/**
 * Reads the raw fields in one pass. Node's own `headers` object keeps the first of two Hosts and has trouble with
 * fields such as `__proto__`; here repetition is seen, and no field name ever becomes a key.
 */
export function readHead(rawHeaders: readonly string[]): RequestHead {
  const head: RequestHead = {
    host: undefined,
    origin: undefined,
    secFetchSite: undefined,
    authorization: undefined,
    contentType: undefined,
    contentLength: undefined,
    contentEncoding: undefined,
    transferEncoding: undefined,
    lastEventId: undefined,
    accept: undefined,
    duplicate: undefined,
    isForwarded: false,
    headerBytes: 0,
  };
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    const value = rawHeaders[index + 1] as string;
    head.headerBytes += name.length + value.length + LINE_OVERHEAD_BYTES;
    const lowerName = name.toLowerCase();
    const field = SINGLE_FIELDS.get(lowerName);
    if (field === undefined) {
      if (isForwardingField(lowerName)) head.isForwarded = true;
    } else if (head[field] === undefined) {
      head[field] = value;
    } else if (field !== 'accept') {
      head.duplicate ??= lowerName;
    }
  }
  return head;
}
