/** Mistake: what does a text look like that was found to be no token? */

const LOOKS: readonly [RegExp, string][] = [
  [/^\s*$/, 'it is empty'],
  [/^\ufeff/, 'a byte order mark stands before it; leave it out'],
  [/^\s*(ed25519-private\/|secp256r1-private\/|-----BEGIN [A-Z ]*PRIVATE KEY)/i,
    'it is a private key, and a token belongs here; treat the key as exposed if others may have seen it'],
  [/^\s*(ed25519\/|secp256r1\/|-----BEGIN PUBLIC)/i, 'it is a public key, and a token belongs here'],
  [/^\s*</, 'it is a page in HTML, perhaps one that asks for a login; look at where it comes from'],
  [/^\s*[{[]/, 'it is JSON; take the token out of it, without its quotation marks'],
  [/^\s*(authorization|proxy-authorization|bearer)\b/i, 'the word Bearer or the name of a header stands before it; leave that out'],
  [/^\s*["'`“”„‘’«»]|["'`“”„‘’«»]\s*$/, 'it stands in quotation marks; leave them out'],
  [/^\s*eyJ[\w-]*(\.[\w-]*){2,4}\s*$/, 'it is a JWT, as OAuth servers give out, and those hold no capability'],
  [/^[\w=-]{40,}\s|^[\w=-]{40,}\\n|^\s+[\w=-]{40,}/, 'it has line breaks or blanks in it or around it; put it on one line, without any'],
  [/^[\w=-]+%(2B|2D|2F|3D|5F)/i, 'it is written for a URL, with percent signs; decode it (%3D is =)'],
  [/^[A-Za-z0-9+/]{40,}=*$/, 'it is in standard base64, or some of it was changed; a token has - in the place of + and _ in that of /'],
];

/** Says it in words, without the text. */
export function mistakeOf(text: unknown): string {
  if (typeof text !== 'string') return 'it is no text';
  const found = LOOKS.find(([look]) => look.test(text))?.[1];
  return found ?? 'a token is one line of URL-safe base64, as hardtack mint, delegate and present write it; copy the whole of it again';
}
