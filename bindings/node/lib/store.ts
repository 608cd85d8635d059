/** Store: revocations, records and accepted presentations in one file. */

import { addon, type NativeStore } from './addon.js';
import { later, native } from './errors.js';
import { moment, momentOf, optionsOf, text, whole, type At } from './given.js';
import { nativeRevocation, nativeRevoking, Revoking, type Revocation } from './revocation.js';

export interface RevokeOptions extends At {
  /** Who revokes, such as `user:admin`. */
  readonly by: string;
  readonly reason: string;
}

export interface RecordsOptions {
  /** The number of the first record, from 1. */
  readonly start?: number | undefined;
  /** The most records: 1000, unless said otherwise. */
  readonly limit?: number | undefined;
}

let inside: (store: Store) => NativeStore;

async function shown<T>(work: () => Promise<string>): Promise<T> {
  return JSON.parse(await later(work)) as T;
}

/**
 * Revocations, the log of decisions and the presentations that were used, in one file. One process has it open at a time.
 * It is closed by `close`, or when it and the guards that use it are collected.
 */
export class Store {
  readonly #store: NativeStore;

  private constructor(store: NativeStore) {
    if (!(store instanceof (addon.Store as unknown as Function))) throw new TypeError('stores are made by Store.open, create, openOrCreate, inMemory and shared');
    this.#store = store;
  }

  static {
    inside = (store) => {
      if (typeof store !== 'object' || store === null || !(#store in store)) throw new TypeError('a store is a Store of this package');
      return store.#store;
    };
  }

  /** Makes a new store. One that exists is left as it is. */
  static async create(path: string): Promise<Store> {
    const file = text(path, 'a path');
    return new Store(await later(() => addon.Store.create(file)));
  }

  static async open(path: string): Promise<Store> {
    const file = text(path, 'a path');
    return new Store(await later(() => addon.Store.open(file)));
  }

  static async openOrCreate(path: string): Promise<Store> {
    const file = text(path, 'a path');
    return new Store(await later(() => addon.Store.openOrCreate(file)));
  }

  /** A store that is gone with the process, for tests. */
  static inMemory(): Store {
    return native(() => new Store(addon.Store.inMemory()));
  }

  /** The store that another worker of this process has open, by the number that `share` returned there. */
  static shared(number: number): Store {
    const known = whole(number, 'the number of a store');
    return native(() => new Store(addon.Store.shared(known)));
  }

  /** Returns the number by which other workers of this process get at it (`Store.shared`), as long as this object is kept here. */
  share(): number {
    return this.#store.share();
  }

  /** Revokes. When this resolves, it is on disk and in force; the number is that of its record. */
  async revoke(what: Revoking, at?: At): Promise<number>;
  async revoke(what: Revocation, options: RevokeOptions): Promise<number>;
  async revoke(what: Revocation | Revoking, options?: RevokeOptions | At): Promise<number> {
    const decided = nativeRevoking(what);
    if (decided !== undefined) {
      const now = moment(options);
      return later(() => this.#store.revokeDecided(decided, now));
    }
    const revocation = nativeRevocation(what as Revocation);
    if (options === undefined) throw new TypeError('a Revocation needs by and reason');
    const { by, reason, now } = optionsOf(options as RevokeOptions, 'the options', ['by', 'reason', 'now']);
    const [who, why, when] = [text(by, 'by'), text(reason, 'reason'), momentOf(now)];
    return later(() => this.#store.revoke(revocation, who, why, when));
  }

  /** What is revoked now. */
  async revocations(): Promise<Record<string, unknown>[]> {
    return shown(() => this.#store.revocations());
  }

  /** The list for servers that decide on a copy (`Revocations.copied`). */
  async revocationList(at?: At): Promise<Record<string, unknown>> {
    const now = moment(at);
    return shown(() => this.#store.revocationList(now));
  }

  /** The records from a number on, at most so many. */
  async records(options: RecordsOptions = {}): Promise<Record<string, unknown>[]> {
    const { start, limit } = optionsOf(options, 'the options', ['start', 'limit']);
    const first = start === undefined ? 1 : whole(start, 'start', Number.MAX_SAFE_INTEGER);
    const most = limit === undefined ? 1000 : whole(limit, 'limit');
    return shown(() => this.#store.records(first, most));
  }

  /** Checks the whole log: that no record was changed, moved or removed. Rejects if one was. */
  async verify(): Promise<void> {
    await later(() => this.#store.verify());
  }

  /** Rejects unless it can record and revoke now. */
  async ready(): Promise<void> {
    await later(() => this.#store.ready());
  }

  /** Writes what is left and closes it, for all workers. Decisions with it are refused from then on. */
  async close(): Promise<void> {
    await later(() => this.#store.close());
  }

  /** The path; `undefined` in memory. */
  get path(): string | undefined {
    return this.#store.path ?? undefined;
  }
}

/** @internal */
export const nativeStore = (store: Store): NativeStore => inside(store);
