/** Operand: can texts be compared with this folder, site, network or pattern? */

import { byteLength } from './bytes.js';
import type { Code } from './error.js';
import { isAscii } from './spelling.js';

/** The external functions of the profile, by the words with which a constraint calls them. */
export const FUNCTIONS = {
  within: 'hardtack_path',
  url: 'hardtack_url',
  network: 'hardtack_network',
  like: 'hardtack_glob',
} as const;

export type Judge = keyof typeof FUNCTIONS;

const MAX_OPERAND_BYTES = 512;
const MAX_DOMAIN_BYTES = 253;

interface Flaw {
  readonly code: Code;
  readonly message: string;
}

const wrong = (message: string): Flaw => ({ code: 'malformed_operand', message });

/** What the library may take and this package does not judge: it would need all that the library knows of characters. */
const unsupported = (what: string): Flaw => ({
  code: 'unsupported',
  message:
    `this package writes ${what} with names of ASCII letters, digits, blanks and ._@~=+()- alone; ` +
    'delegate with the hardtack command for others',
});

/** A name in which no reader finds anything else. Others may be names, too: the library knows them. */
const isName = (name: string): boolean =>
  /^[A-Za-z0-9._@~=+() -]+$/.test(name) && /[A-Za-z0-9]/.test(name) && !/^ | $|\.$/.test(name);

const STEPS = 'a folder is absolute, with single slashes and without . and .., such as /srv/data or file:///srv/data';

function folderFlaw(text: string): Flaw | undefined {
  const isUrl = text.startsWith('file://');
  const path = isUrl ? text.slice(7) : text;
  if (!path.startsWith('/') || path.startsWith('//')) return wrong(STEPS);
  if (path === '/') return undefined;
  const names = (isUrl ? path.replace(/\/$/, '') : path).slice(1).split('/');
  if (names.some((name) => ['', '.', '..'].includes(name)) || path.includes('\\')) return wrong(STEPS);
  if (/[*?]/.test(path)) return wrong('a folder has no * or ?: all that lies in it is meant; leave /* off');
  if (!isUrl) return names.every(isName) ? undefined : unsupported('folders');
  const drive = /^[A-Za-z]:$/.test(names[0]!) ? 1 : 0;
  return !path.includes(' ') && names.slice(drive).every((name) => isName(name.replaceAll('%20', ' ')))
    ? undefined
    : unsupported('folders');
}

const SITE = 'a site is written such as https://api.example.com, https://*.example.com:8443/v1 or https://*';
const SCHEMES = ['https', 'http', 'wss', 'ws', 'ftp'];

const isDomain = (name: string): boolean =>
  name.length <= MAX_DOMAIN_BYTES &&
  name.split('.').every((label) => /^(?!-)[A-Za-z0-9-]{1,63}$/.test(label) && !label.endsWith('-'));

const isAddress = (host: string): boolean => host.startsWith('[') || /^[0-9.]+$/.test(host);

function siteFlaw(text: string): Flaw | undefined {
  const [, scheme, rest] = /^(.*?):\/\/(.*)$/s.exec(text) ?? [];
  if (scheme === undefined || rest === undefined) return wrong(SITE);
  if (!SCHEMES.includes(scheme)) return wrong(`a site is of ${SCHEMES.join(', ')}`);
  const isBelow = rest.startsWith('*.');
  const isAny = /^\*(?=$|[:/])/.test(rest);
  const named = isBelow ? rest.slice(2) : rest.replace(/^\*(?=$|[:/])/, 'any.invalid');
  if (/[*@?#]/.test(named)) {
    return wrong('a site has no user, query or fragment, and `*` only as the first label or the whole host');
  }
  const written = `${scheme}://${named}`;
  if (!URL.canParse(written)) return wrong(SITE);
  const url = new URL(written);
  const isBare = url.pathname === '/' && url.search === '' && url.hash === '';
  if (url.href !== written && !(isBare && url.href === `${written}/`)) {
    return wrong(`write it in normal form: ${url.href.replace(/\/$/, '')}`);
  }
  if (!isAscii(written)) return unsupported('sites');
  const host = url.hostname;
  if (!isAny && (isBelow ? isAddress(host) || !isDomain(host) : !isAddress(host) && !isDomain(host))) return wrong(SITE);
  const path = url.pathname.replace(/^\//, '').replace(/\/$/, '');
  const names = path === '' ? [] : path.split('/');
  return names.every((name) => isName(name.replaceAll('%20', ' '))) ? undefined : unsupported('sites');
}

/** The bits of an address, most significant first; `undefined` for what is none. */
function bitsOf(text: string): string | undefined {
  const bits = (number: number, many: number): string => number.toString(2).padStart(many, '0');
  if (/^(?:(?:0|[1-9][0-9]{0,2})(?:\.|$)){4}(?<!\.)$/.test(text)) {
    const bytes = text.split('.').map(Number);
    return bytes.some((byte) => byte > 255) ? undefined : bytes.map((byte) => bits(byte, 8)).join('');
  }
  if (!/^[0-9A-Fa-f:]+$/.test(text) || /:::/.test(text)) return undefined;
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [front, back] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - front!.length - (back?.length ?? 0);
  if (back === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...front!, ...Array<string>(missing).fill('0'), ...(back ?? [])];
  return groups.every((group) => /^[0-9A-Fa-f]{1,4}$/.test(group))
    ? groups.map((group) => bits(parseInt(group, 16), 16)).join('')
    : undefined;
}

function networkFlaw(text: string): Flaw | undefined {
  const [address, length, ...more] = text.split('/');
  const bits = bitsOf(address!);
  const isLength = length === undefined || (/^(0|[1-9][0-9]{0,2})$/.test(length) && Number(length) <= (bits?.length ?? 0));
  if (bits === undefined || !isLength || more.length > 0) {
    return wrong('a network is written such as 10.0.0.0/8 or 2001:db8::/32');
  }
  return length === undefined || !bits.slice(Number(length)).includes('1')
    ? undefined
    : wrong(`${text} has bits beyond its prefix; leave them 0`);
}

function patternFlaw(pattern: string): Flaw | undefined {
  if (pattern.includes('://')) {
    return wrong("a pattern does not know where a URL's host ends; use url https://*.example.com");
  }
  const odd = /[[\]{}\\!]/.exec(pattern)?.[0];
  if (odd !== undefined) {
    return wrong(`a pattern has *, ** and ? and no ${odd}, which other readers take for more; write several patterns with or`);
  }
  return pattern.includes('***') ? wrong('a pattern has at most two * in a row') : undefined;
}

/** Why texts cannot be compared with this; `undefined` if they can. */
export function operandFlaw(judge: Judge, operand: string): Flaw | undefined {
  if (byteLength(operand) > MAX_OPERAND_BYTES) return wrong(`more than ${MAX_OPERAND_BYTES} bytes`);
  const flaws = { within: folderFlaw, url: siteFlaw, network: networkFlaw, like: patternFlaw };
  return flaws[judge](operand);
}
