/** Signing: the bytes that Biscuit signs (signature version 1, external signatures, sealing), made and checked. */

import { concat, same, sha256, utf8, type Bytes } from './bytes.js';
import { PrivateKey, verifyBy, type PublicKey } from './keys.js';
import type { Block, Proof, Shaped, Signed } from './shape.js';

/** The version of signatures and the number of Ed25519, each as 32 bits, little endian. */
const VERSION = Uint8Array.of(1, 0, 0, 0);
const ED25519 = new Uint8Array(4);

const mark = (name: string): Bytes => utf8(`\0${name}\0`);

function blockPayload({ content, nextKey, external }: Omit<Signed, 'signature'>, previous: Bytes | undefined): Bytes {
  return concat(
    mark('BLOCK'), mark('VERSION'), VERSION, mark('PAYLOAD'), content, mark('ALGORITHM'), ED25519, mark('NEXTKEY'), nextKey,
    ...(previous ? [mark('PREVSIG'), previous] : []),
    ...(external ? [mark('EXTERNALSIG'), external.signature] : []),
  );
}

const externalPayload = (content: Bytes, previous: Bytes): Bytes =>
  concat(mark('EXTERNAL'), mark('VERSION'), VERSION, mark('PAYLOAD'), content, mark('PREVSIG'), previous);

const sealPayload = ({ content, nextKey, signature }: Signed): Bytes => concat(content, ED25519, nextKey, signature);

/** Whether the end belongs to the last block: its secret is `secret`, or the last signature is by it. */
async function isEnded({ blocks, proof }: Shaped, secret: PrivateKey | undefined): Promise<boolean> {
  const last = blocks.at(-1)!.signed;
  if ('nextSecret' in proof) return secret !== undefined && same(secret.public.toBytes(), last.nextKey);
  return verifyBy(last.nextKey, sealPayload(last), proof.finalSignature);
}

/** The number of the first block whose signature is not valid, the grant's own left out; `undefined` if all are. */
export async function firstDamaged(token: Shaped, secret: PrivateKey | undefined): Promise<number | undefined> {
  const { blocks } = token;
  if (!(await isEnded(token, secret))) return blocks.length - 1;
  for (let at = 1; at < blocks.length; at++) {
    const before = blocks[at - 1]!.signed;
    const { signed } = blocks[at]!;
    if (!(await verifyBy(before.nextKey, blockPayload(signed, before.signature), signed.signature))) return at;
    if (!signed.external) continue;
    const { key, signature } = signed.external;
    if (!(await verifyBy(key, externalPayload(signed.content, before.signature), signature))) return at;
  }
  return undefined;
}

/** Whether this root key signed the grant. */
export const isGrantOf = ({ blocks: [grant] }: Shaped, root: PublicKey): Promise<boolean> =>
  root.verify(blockPayload(grant!.signed, undefined), grant!.signed.signature);

/** What a signer read, block by block, in the form of which the digest is. */
export function readPart({ signed: { content, external } }: Block): Bytes {
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(content.length), true);
  return concat(length, content, external ? concat(Uint8Array.of(1), external.key) : Uint8Array.of(0));
}

/** What `parent(hex:…)` says in a block that is signed over these. */
export const parentDigest = async (parts: readonly Bytes[]): Promise<Bytes> =>
  (await sha256(concat(...parts))).slice(0, 16);

/** The secret at the token's end, with which the next block is signed, or the end; `undefined` of a sealed one. */
export const nextSecret = async ({ proof }: Shaped): Promise<PrivateKey | undefined> =>
  'nextSecret' in proof ? PrivateKey.fromBytes(proof.nextSecret, { extractable: true }) : undefined;

/** The block that follows the signature `previous`: third-party, signed by `signer`, or first-party if there is none. */
export async function signBlock(
  content: Bytes,
  previous: Bytes,
  signer: PrivateKey | undefined,
  secret: PrivateKey,
  next: PublicKey,
): Promise<Signed> {
  const external = signer && {
    key: signer.public.toBytes() as Bytes,
    signature: await signer.sign(externalPayload(content, previous)),
  };
  const unsigned = { content, nextKey: next.toBytes() as Bytes, external };
  return { ...unsigned, signature: await secret.sign(blockPayload(unsigned, previous)) };
}

/** The signature over the last block in the place of its secret, so that nothing can follow. */
export const signEnd = async (last: Signed, secret: PrivateKey): Promise<Proof> =>
  ({ finalSignature: await secret.sign(sealPayload(last)) });
