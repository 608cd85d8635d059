// Writes the configuration with which workerd runs anywhere.mjs as a worker's test.
//   node worker.mjs FOLDER

import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const [folder] = process.argv.slice(2);
const dist = readdirSync(join(folder, 'dist')).filter((name) => name.endsWith('.js'));
const modules = [
  '(name = "worker.mjs", esModule = embed "worker-made.mjs")',
  '(name = "anywhere.mjs", esModule = embed "anywhere-made.mjs")',
  '(name = "data-made.mjs", esModule = embed "data-made.mjs")',
  ...dist.map((name) => `(name = "dist/${name}", esModule = embed "dist/${name}")`),
];
writeFileSync(join(folder, 'worker-made.mjs'), `import { anywhere } from './anywhere.mjs';
import { data } from './data-made.mjs';
export default { async test() { console.log('workerd: ' + (await anywhere(data)) + ' things hold'); } };
`);
writeFileSync(join(folder, 'worker.capnp'), `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = (
  modules = [${modules.join(', ')}],
  compatibilityDate = "2026-01-01",
))]);
`);
