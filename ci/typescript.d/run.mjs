import { anywhere } from './anywhere.mjs';
import { data } from './data-made.mjs';

const { process, Deno } = globalThis;
const runtime = Deno ? `Deno ${Deno.version.deno}` : process.versions.bun ? `Bun ${process.versions.bun}` : `Node ${process.versions.node}`;
console.log(`${runtime}: ${await anywhere(data)} things hold`);
