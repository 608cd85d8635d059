// Every member that is there has a type, and every type is of a member that is there: of the package, and of the addon beneath it.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import ts from 'typescript';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const addon = createRequire(import.meta.url)('../hardtack.node');
const entries = ['index', 'express', 'fetch', 'mcp'];
const options = { strict: true, target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext, lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'], types: [], noEmit: true };
const program = ts.createProgram([...entries, 'addon'].map((name) => join(dist, `${name}.d.ts`)), options);
const checker = program.getTypeChecker();

const exportsOf = (name) => checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(join(dist, `${name}.d.ts`))));
const resolved = (symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
const isPublic = (symbol) => !symbol.name.startsWith('__') && !(symbol.declarations ?? []).some((one) => ts.getCombinedModifierFlags(one) & ts.ModifierFlags.Private);
const named = (symbols) => symbols.filter(isPublic).map(({ name }) => name).sort();
const own = (object, except) => Object.getOwnPropertyNames(object).filter((name) => !except.includes(name)).sort();

/** The types of what a class declares itself, but for the members that its constructor sets. */
function declaredOf(symbol) {
  const members = [...(symbol.members?.values() ?? [])].filter((one) => one.name !== '__constructor' && !one.name.startsWith('#') && isPublic(one));
  return { set: named(members.filter((one) => one.flags & ts.SymbolFlags.Property)), shared: named(members.filter((one) => !(one.flags & ts.SymbolFlags.Property))) };
}

test('the types are whole by themselves, without those of Node', () => {
  const found = ts.getPreEmitDiagnostics(program).map((one) => ts.flattenDiagnosticMessageText(one.messageText, '\n'));
  assert.deepEqual(found, []);
});

for (const entry of entries) {
  test(`what ${entry} exports has its types, and the reverse`, async () => {
    const module = await import(`../dist/${entry}.js`);
    const values = exportsOf(entry).filter((symbol) => resolved(symbol).flags & ts.SymbolFlags.Value);
    assert.deepEqual(named(values), Object.keys(module).sort());
    for (const symbol of values) {
      const [value, type] = [module[symbol.name], resolved(symbol)];
      if (!(type.flags & ts.SymbolFlags.Class)) {
        assert.equal(typeof value, symbol.name === 'version' ? 'string' : 'function');
        continue;
      }
      const statics = [...type.exports.values()].filter((one) => one.name !== 'prototype');
      assert.deepEqual(named(statics), own(value, ['length', 'name', 'prototype']), `static members of ${symbol.name}`);
      assert.deepEqual(declaredOf(type).shared, own(value.prototype, ['constructor']), `members of ${symbol.name}`);
    }
  });
}

test('what errors and refusals hold has its types, and the reverse', async () => {
  const { HardtackError, Denied, Refused } = await import('../dist/index.js');
  const refused = new Refused({ status: 403, description: 'no' });
  const typed = (name) => declaredOf(resolved(exportsOf('index').find((one) => one.name === name))).set;
  assert.deepEqual(Object.keys(refused).sort(), typed('Refused'));
  const error = new HardtackError('expired', 'late');
  assert.deepEqual(Object.keys(error).sort(), typed('HardtackError'));
  const denied = new Denied({ code: 'expired', detail: 'late', refused, audience: 'a' });
  assert.deepEqual(Object.keys(denied).filter((name) => !Object.keys(error).includes(name)), ['refused']);
});

test('what the addon has is what the package says that it has', () => {
  const type = (name) => checker.getDeclaredTypeOfSymbol(exportsOf('addon').find((symbol) => symbol.name === name));
  const members = type('Addon').getProperties();
  // What is only measured is in no package.
  const exported = Object.keys(addon).filter((name) => name !== 'nanosecondsOfCheck').sort();
  assert.deepEqual(named(members), exported);
  const instances = new Map(exportsOf('addon').map(({ name }) => [name.replace(/^Native/, ''), name]).filter(([short, name]) => short !== name));
  assert.ok(instances.size >= 12);
  for (const member of members) {
    const value = addon[member.name];
    assert.equal(typeof value, 'function');
    if (!/^[A-Z]/.test(member.name)) continue;
    const statics = checker.getTypeOfSymbol(member).getProperties();
    assert.deepEqual(named(statics), own(value, ['length', 'name', 'prototype', 'arguments', 'caller']), `static members of ${member.name}`);
    assert.deepEqual(named(type(instances.get(member.name)).getProperties()), own(value.prototype, ['constructor']), `members of ${member.name}`);
  }
});

test('nothing of the package is there besides what it exports', () => {
  const require = createRequire(join(dirname(dist), 'none.js'));
  assert.throws(() => require('@hardtack/server/dist/addon.js'));
});
