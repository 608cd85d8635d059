/** Policy: a set of policies in Datalog. */

import { addon, type NativePolicy } from './addon.js';
import { later, native } from './errors.js';
import { text } from './given.js';

let inside: (policy: Policy) => NativePolicy;

/** A set of policies: what a server allows. */
export class Policy {
  readonly #policy: NativePolicy;

  private constructor(policy: NativePolicy) {
    if (!(policy instanceof (addon.Policy as unknown as Function))) throw new TypeError('policies are made by Policy.builtin, load, parse and parseSet');
    this.#policy = policy;
  }

  static {
    inside = (policy) => {
      if (typeof policy !== 'object' || policy === null || !(#policy in policy)) throw new TypeError('policies are a Policy of this package');
      return policy.#policy;
    };
  }

  /** What the chain grants is allowed, and nothing else. */
  static builtin(): Policy {
    return new Policy(addon.Policy.builtin());
  }

  /** Reads every `*.datalog` file of a folder as one set. */
  static async load(folder: string): Promise<Policy> {
    const path = text(folder, 'a path');
    return new Policy(await later(() => addon.Policy.load(path)));
  }

  /** Reads one text as a set; `name` stands in records for the file. */
  static parse(policies: string, name = 'policy.datalog'): Policy {
    const [said, file] = [text(policies, 'policies'), text(name, 'a name')];
    return native(() => new Policy(addon.Policy.parse(file, said)));
  }

  /** Reads several texts as one set, each by the name of its file. */
  static parseSet(files: { readonly [name: string]: string }): Policy {
    if (typeof files !== 'object' || files === null) throw new TypeError('a set is an object of texts, each by the name of its file');
    const entries = Object.entries(files).map(([name, said]) => [text(name, 'a name'), text(said, 'policies')] as const);
    return native(() => new Policy(addon.Policy.parseSet(Object.fromEntries(entries))));
  }

  /** What identifies the set in records. */
  get digest(): string {
    return this.#policy.digest;
  }
}

/** @internal */
export const nativePolicy = (policy: Policy): NativePolicy => inside(policy);
