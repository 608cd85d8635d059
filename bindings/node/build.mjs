// Builds the addon and puts it where the package looks for it: hardtack.node. With `--debug`, in a minute, for tests.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const isDebug = process.argv.includes('--debug');
execFileSync('cargo', ['build', '--locked', ...(isDebug ? [] : ['--release'])], { cwd: here, stdio: 'inherit' });
const folder = join(process.env.CARGO_TARGET_DIR ?? join(here, 'target'), isDebug ? 'debug' : 'release');
const made = ['libhardtack_node.so', 'libhardtack_node.dylib', 'hardtack_node.dll'].map((name) => join(folder, name)).find((path) => existsSync(path));
if (made === undefined) throw new Error(`cargo made no addon in ${folder}`);
// A process that uses the old one keeps it.
rmSync(join(here, 'hardtack.node'), { force: true });
copyFileSync(made, join(here, 'hardtack.node'));
