/** Resource: is this a URI that every reader takes for the same resource? */

import { byteLength } from './bytes.js';
import { isAscii, isPlain } from './spelling.js';

export const MAX_RESOURCE_BYTES = 8000;

/** The schemes whose normal form is one that servers know, and those to which the standard gives hosts as well. */
const KNOWN_SCHEMES = ['https:', 'http:', 'file:'];
const WEB_SCHEMES = ['ws:', 'wss:', 'ftp:'];

/** Escapes of what may not stand as it is, and separates nothing; escapes of what is not ASCII; and what stands as it is. */
const ESCAPED = /%(?:2[02]|3[CE]|5[BDE]|60|7[BCD])/g;
const BEYOND_ASCII = /(?:%[89A-F][0-9A-F])+/g;
const PLAIN = /^[A-Za-z0-9._~!$&'()*+,;=:@/?-]*$/;

function hostFlaw(host: string, isWeb: boolean): string | undefined {
  if (host.includes('@')) return 'it names a user before the host, which some readers leave out';
  if (host.endsWith('.')) return 'its host ends with a dot, which some readers leave out';
  if (host.includes('[')) return 'its host is an address of IPv6, of which one resource has several spellings';
  if (isWeb || /^(?:[a-z0-9_~-](?:[a-z0-9._~-]*[a-z0-9_~-])?)?$/.test(host)) return undefined;
  return 'its host has other characters than small letters, digits, `-`, `_`, `~` and dots between them';
}

function segmentFlaw(segment: string): string | undefined {
  if (segment === '') return 'it has an empty part between two slashes or a slash at the end, which some readers leave out';
  if (segment.endsWith('.')) return 'a part of its path ends with a dot, which is a step or is left out by some readers';
  if (segment.includes(';')) return 'its path has a `;`, from which on some readers leave a part of it out';
  if (/^%20|%20$/.test(segment)) return 'a part of its path begins or ends with a space, which some readers leave out';
  return undefined;
}

function queryFlaw(query: string): string | undefined {
  if (query === '') return 'it has a `?` and nothing behind it';
  return query.includes('+') ? 'its query has a `+`, which some readers take for a space' : undefined;
}

/** Every character stands in one way: escaped if it must be, and else not. */
function escapesFlaw(text: string): string | undefined {
  const rest = text.replace(ESCAPED, '').replace(BEYOND_ASCII, '');
  if (!PLAIN.test(rest)) return 'it has a character or an escape that has another spelling, or that readers take for a separator';
  try {
    const decoded = decodeURIComponent(text);
    if (isAscii(decoded) || (isPlain(decoded) && decoded.normalize('NFKC') === decoded)) return undefined;
  } catch {
    // It is no UTF-8.
  }
  return 'its escapes are no text in UTF-8 that prints and is in normal form (NFKC)';
}

/** What gives a URI another spelling; `undefined` if nothing does. */
function otherSpelling(url: URL): string | undefined {
  const isWeb = WEB_SCHEMES.includes(url.protocol);
  const rest = url.href.slice(url.protocol.length);
  if (rest.includes('#')) return 'it has a fragment (`#`), which some readers leave out';
  const [, place = '', query] = /^([^?]*)(?:\?(.*))?$/s.exec(rest) ?? [];
  let path: string | undefined = place;
  if (place.startsWith('//')) {
    const [, host = '', behind] = /^\/\/([^/]*)(?:\/(.*))?$/s.exec(place) ?? [];
    const flaw = hostFlaw(host, isWeb);
    if (flaw !== undefined) return flaw;
    // The standard has a slash behind every host of such a scheme.
    path = isWeb && behind === '' ? undefined : behind;
  } else if (place.startsWith('/')) {
    return 'it has one slash behind the scheme; write `://`';
  } else if (url.protocol === 'data:') {
    return 'a `data:` URI is content, which can be written in many ways';
  } else if (/^[^:]*[A-Z][^:]*:/.test(place) || (url.protocol === 'urn:' && /^uuid:.*[A-Z]/.test(place))) {
    return 'the name before its second colon, or a UUID behind it, has capitals, which some readers write small';
  }
  const segments = path === undefined ? [] : path.split('/');
  const flaws = [
    ...segments.map(segmentFlaw),
    query === undefined ? undefined : queryFlaw(query),
    ...[path, query].map((text) => (text === undefined ? undefined : escapesFlaw(text))),
  ];
  return flaws.find((flaw) => flaw !== undefined);
}

/** What keeps a text from being a call's resource, in words. */
export function resourceFlaw(uri: string): string | undefined {
  if (byteLength(uri) > MAX_RESOURCE_BYTES) return `the resource has more than ${MAX_RESOURCE_BYTES} bytes`;
  const problem = 'the resource is not a URI in normal form';
  let url: URL;
  try {
    url = new URL(uri);
  } catch {
    return problem;
  }
  if (url.href !== uri) return `${problem}; write ${url.href}`;
  const other = KNOWN_SCHEMES.includes(url.protocol) ? undefined : otherSpelling(url);
  return other === undefined ? undefined : `the resource has other spellings, and readers differ: ${other}`;
}
