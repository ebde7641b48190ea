import { RuntimeError } from './errors.ts';

/** An image reference, taken apart and written out in full. */
export interface ImageReference {
  /** `docker.io`, or the registry as it was written, with its port. */
  readonly domain: string;
  /** The repository below it: `library/nginx`. */
  readonly path: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
  /** The name as people write it, without tag and digest: `nginx`. */
  readonly repository: string;
  /** As people write it, the tag always said: `nginx:latest`. */
  readonly familiar: string;
  /** In full: `docker.io/library/nginx:latest`. One image, one text. */
  readonly canonical: string;
}

/** Bounds of the grammar of distribution/reference, in characters. */
const MAX_NAME_LENGTH = 255;
const MAX_TAG_LENGTH = 128;
const MAX_TEXT_LENGTH = 512;

const HUB_DOMAIN = 'docker.io';
const HUB_LEGACY_DOMAIN = 'index.docker.io';
const HUB_OFFICIAL_PREFIX = 'library/';

const HOST_LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?$/;
const IPV6_HOST = /^\[[0-9A-Fa-f:]{2,39}\]$/;
const PORT = /^[0-9]{1,5}$/;
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/;
const LOWER_HEX = /^[0-9a-f]+$/;
/** Digest algorithms that registries use, with the length of their hex. */
const DIGEST_HEX_LENGTHS: ReadonlyMap<string, number> = new Map([
  ['sha256', 64],
  ['sha384', 96],
  ['sha512', 128],
]);

function refuse(text: string, problem: string): never {
  const shown = text.length > 128 ? `${text.slice(0, 128)}…` : text;
  throw new RuntimeError('invalid_plan', `image reference ${JSON.stringify(shown)}: ${problem}`);
}

/**
 * Parses what people write where an image is asked for (`nginx`, `host:5000/team/app:1.2`, `app@sha256:…`), by the
 * grammar and the short forms of distribution/reference. Fails with `invalid_plan`, saying what is wrong with the text.
 */
export function parseImageReference(text: string): ImageReference {
  if (text === '') refuse(text, 'is empty; write a name such as nginx:1.27');
  if (text.length > MAX_TEXT_LENGTH) refuse(text, `is longer than ${MAX_TEXT_LENGTH} characters`);
  if (text.length === 64 && LOWER_HEX.test(text))
    refuse(text, 'looks like an image id; write a name instead');
  const { rest, digest } = splitDigest(text);
  const { name, tag } = splitTag(text, rest);
  const { domain, path } = splitDomain(name);
  checkDomain(text, domain);
  checkPath(text, path);
  if (domain.length + 1 + path.length > MAX_NAME_LENGTH) {
    refuse(text, `has a name longer than ${MAX_NAME_LENGTH} characters, registry included`);
  }
  // A digest says which image it is; only without one does a missing tag mean `latest`.
  const effectiveTag = tag ?? (digest === undefined ? 'latest' : undefined);
  const suffix =
    (effectiveTag === undefined ? '' : `:${effectiveTag}`) + (digest === undefined ? '' : `@${digest}`);
  const repository = familiarName(domain, path);
  return {
    domain,
    path,
    tag: effectiveTag,
    digest,
    repository,
    familiar: repository + suffix,
    canonical: `${domain}/${path}${suffix}`,
  };
}

function splitDigest(text: string): { rest: string; digest: string | undefined } {
  const at = text.indexOf('@');
  if (at < 0) return { rest: text, digest: undefined };
  const digest = text.slice(at + 1);
  const colon = digest.indexOf(':');
  const hex = digest.slice(colon + 1);
  const hexLength = DIGEST_HEX_LENGTHS.get(digest.slice(0, Math.max(0, colon)));
  if (hexLength === undefined)
    refuse(text, 'has a digest that is not sha256:, sha384: or sha512: and its hex');
  if (hex.length !== hexLength || !LOWER_HEX.test(hex)) {
    refuse(text, `has a digest without exactly ${hexLength} lower-case hex digits`);
  }
  return { rest: text.slice(0, at), digest };
}

function splitTag(text: string, rest: string): { name: string; tag: string | undefined } {
  const colon = rest.lastIndexOf(':');
  // A colon before a slash belongs to the registry's port.
  if (colon < 0 || rest.includes('/', colon)) return { name: rest, tag: undefined };
  const tag = rest.slice(colon + 1);
  if (tag.length > MAX_TAG_LENGTH) refuse(text, `has a tag longer than ${MAX_TAG_LENGTH} characters`);
  if (!TAG.test(tag)) refuse(text, 'has a tag that is not letters, digits, _ . - (and no . or - in front)');
  return { name: rest.slice(0, colon), tag };
}

function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(0, slash));
  const isDomain = slash >= 0 && looksLikeDomain(first);
  const domain = isDomain ? first : HUB_DOMAIN;
  const path = isDomain ? name.slice(slash + 1) : name;
  if (domain !== HUB_DOMAIN && domain !== HUB_LEGACY_DOMAIN) return { domain, path };
  return { domain: HUB_DOMAIN, path: path.includes('/') ? path : HUB_OFFICIAL_PREFIX + path };
}

function looksLikeDomain(first: string): boolean {
  return /[.:[]/.test(first) || first === 'localhost' || first.toLowerCase() !== first;
}

function checkDomain(text: string, domain: string): void {
  const { host, port } = splitPort(domain);
  if (port !== undefined && !(PORT.test(port) && Number(port) <= 65_535)) {
    refuse(text, 'has a registry port that is not a number up to 65535');
  }
  if (IPV6_HOST.test(host)) return;
  if (!host.split('.').every((label) => HOST_LABEL.test(label))) {
    refuse(text, 'has a registry that is not a host name or address; a path is written in lower case');
  }
}

function checkPath(text: string, path: string): void {
  if (path.toLowerCase() !== path) refuse(text, 'has upper-case letters in its name; write it in lower case');
  if (path.split('/').every((component) => PATH_COMPONENT.test(component))) return;
  refuse(
    text,
    'has a name that is not lower-case letters and digits, joined by one of . _ __ - and parted by /',
  );
}

function splitPort(domain: string): { host: string; port: string | undefined } {
  const colon = domain.lastIndexOf(':');
  if (colon < 0 || domain.endsWith(']')) return { host: domain, port: undefined };
  return { host: domain.slice(0, colon), port: domain.slice(colon + 1) };
}

function familiarName(domain: string, path: string): string {
  if (domain !== HUB_DOMAIN) return `${domain}/${path}`;
  const short = path.startsWith(HUB_OFFICIAL_PREFIX) ? path.slice(HUB_OFFICIAL_PREFIX.length) : path;
  if (!short.includes('/')) return short;
  // What the short form would not be read back from keeps its registry: `docker.io/localhost/x` is not localhost's.
  return looksLikeDomain(path.slice(0, path.indexOf('/'))) ? `${domain}/${path}` : path;
}

/** Names that never lead to a public registry. */
const PRIVATE_SUFFIXES = [
  'localhost',
  'local',
  'localdomain',
  'internal',
  'intranet',
  'lan',
  'home.arpa',
] as const;

/**
 * Whether images may come from this reference's registry. `allowed` lists registries as they are written in
 * references, with the port where there is one; `*.example.com` stands for every name below it. With an empty list
 * every public DNS name is allowed, so that nobody can have the engine knock on addresses of the host's own network.
 */
export function isAllowedRegistry(reference: ImageReference, allowed: readonly string[]): boolean {
  const domain = reference.domain.toLowerCase();
  if (allowed.length === 0) return isPublicName(domain);
  return allowed.some((entry) => matches(domain, entry.toLowerCase()));
}

function matches(domain: string, entry: string): boolean {
  if (!entry.startsWith('*.')) return domain === entry;
  const suffix = entry.slice(1);
  return domain.length > suffix.length && domain.endsWith(suffix);
}

function isPublicName(domain: string): boolean {
  const { host } = splitPort(domain);
  if (host.startsWith('[') || !host.includes('.')) return false;
  if (PRIVATE_SUFFIXES.some((suffix) => host === suffix || host.endsWith(`.${suffix}`))) return false;
  // No top-level name begins with a digit: what does is an address, however it is spelt (127.1, 0x7f.0.0.1).
  return /^[a-z]/.test(host.slice(host.lastIndexOf('.') + 1));
}
