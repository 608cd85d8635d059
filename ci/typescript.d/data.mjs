// Takes out of the test vectors what anywhere.mjs holds, and prints it as a module.

import { readFileSync } from 'node:fs';
import { fromBase64, toBase64 } from '../../bindings/typescript/dist/bytes.js';
import { decode, encode } from '../../bindings/typescript/dist/proto.js';
import { BISCUIT } from '../../bindings/typescript/dist/schema.js';

const vectors = JSON.parse(readFileSync(new URL('../../tests/vectors/vectors.json', import.meta.url), 'utf8'));
const NOW = 1_795_428_000;
const { bearer } = vectors.testcases.find(({ title }) => title === 'grant, hop, session presentation');
const read = decode(fromBase64(bearer), BISCUIT);
const secret = (block) => (0xf0 + block).toString(16).repeat(32);
const upTo = (block) => {
  const proof = { nextSecret: Uint8Array.from(Buffer.from(secret(block), 'hex')) };
  return toBase64(encode({ ...read, blocks: read.blocks.slice(0, block), proof }, BISCUIT));
};
const digests = vectors.testcases.flatMap(({ validations }) =>
  Object.values(validations)
    .filter(({ call_digest, arguments: args }) => call_digest && args)
    .map(({ operation, resource, arguments: args, params, call_digest, options }) => {
      const parts = [`"operation":${JSON.stringify(operation)}`, `"arguments":${args}`];
      if (resource) parts.push(`"resource":${JSON.stringify(resource)}`);
      if (params) parts.push(`"params":${params}`);
      return [`{${parts.join(',')}}`, call_digest, options?.large_integers === true];
    }));
const signatures = vectors.testcases.flatMap(({ bearer, validations }) => {
  const results = Object.values(validations).map(({ result }) => result);
  const damaged = results.find(({ Err }) => Err?.cause === 'signature' && Err.block > 0)?.Err.block ?? null;
  return damaged !== null || results.some(({ Ok }) => Ok) ? [[bearer, damaged]] : [];
});
const data = {
  signatures,
  orchestrator: vectors.keys.orchestrator,
  orchestratorPublic: 'ed25519/8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394',
  researcher: vectors.keys.researcher,
  next: [1, 2].map((block) => `ed25519-private/${secret(block)}`),
  grant: upTo(0),
  hop: upTo(1),
  bearer,
  delegation: { to: 'agent.researcher', scopes: ['tools:call:search'], reason: 'find the roadmap page', now: NOW },
  presenting: { now: NOW },
  digests,
};
console.log(`export const data = ${JSON.stringify(data)};`);
