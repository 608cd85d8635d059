/** Addon: the native half of the package, and what its members are. Only this package uses it. */

import { createRequire } from 'node:module';

/** A call, as the addon has it. */
export interface NativeCall {
  readonly operation: string;
  readonly resource: string | null;
  readonly argumentsJson: string;
  digest(): Uint8Array;
  equals(other: NativeCall): boolean;
}

export interface NativeMessage {
  readonly method: string | null;
  calls(): NativeCall[];
  taskIds(): string[];
}

export interface NativePublicKey {
  toBytes(): Uint8Array;
  toString(): string;
}

export interface NativePrivateKey {
  readonly public: NativePublicKey;
  save(path: string): Promise<void>;
  toText(): string;
}

export interface NativeIssuer {
  readonly public: NativePublicKey;
  mint(granted: string, now: number | undefined): string;
}

export interface NativePolicy {
  readonly digest: string;
}

export interface NativeRevocation {
  toString(): string;
  equals(other: NativeRevocation): boolean;
}

export interface NativeRevoking {
  readonly revocation: NativeRevocation;
  readonly by: string;
  readonly reason: string;
}

export interface NativeRevocations {
  renew(list: string, now: number | undefined): void;
}

export interface NativeStore {
  readonly path: string | null;
  share(): number;
  revoke(revocation: NativeRevocation, by: string, reason: string, now: number | undefined): Promise<number>;
  revokeDecided(revoking: NativeRevoking, now: number | undefined): Promise<number>;
  revocations(): Promise<string>;
  revocationList(now: number | undefined): Promise<string>;
  records(start: number, limit: number): Promise<string>;
  verify(): Promise<void>;
  ready(): Promise<void>;
  close(): Promise<void>;
}

export interface NativePermit {
  readonly subject: string;
  readonly agent: string | null;
  readonly depth: number;
  readonly allowedBy: string;
  readonly sequence: number | null;
  chain(): string;
}

export interface NativeAdmitted {
  readonly subject: string;
  readonly agent: string | null;
  readonly scopes: string[];
  readonly expiresAt: number;
  readonly root: NativePublicKey;
  chain(): string;
}

/** What may come of a call, whatever its arguments. */
export type Preview = 'allowed' | 'depends_on_arguments' | 'denied';

export interface NativeGuard {
  readonly audience: string;
  nameResourceScheme(scheme: string): boolean;
  check(bearer: string, call: NativeCall, now: number | undefined): Promise<NativePermit>;
  checkSync(bearer: string, call: NativeCall, now: number | undefined): NativePermit;
  explain(bearer: string, call: NativeCall, now: number | undefined): Promise<string>;
  admit(bearer: string, now: number | undefined): Promise<NativeAdmitted>;
  admitSync(bearer: string, now: number | undefined): NativeAdmitted;
  preview(bearer: string, calls: readonly NativeCall[], now: number | undefined): Promise<Preview[]>;
  previewSync(bearer: string, calls: readonly NativeCall[], now: number | undefined): Preview[];
  checkRevocation(bearer: string, request: string, now: number | undefined): Promise<NativeRevoking>;
  replacePolicies(policies: NativePolicy): void;
  replaceRoots(settings: string): void;
}

/** What the addon exports. */
export interface Addon {
  version(): string;
  challenge(
    status: number,
    error: string | undefined,
    description: string,
    scope: string | undefined,
    realm: string,
    resourceMetadata: string | undefined,
  ): string | null;
  Call: {
    of(operation: string, resource: string | undefined, args: string | undefined, params: string | undefined, large: boolean): NativeCall;
    prompt(name: string, args: string | undefined): NativeCall;
    parse(text: string, large: boolean): NativeCall;
  };
  Message: { read(body: Uint8Array, bearer: string | undefined, large: boolean): NativeMessage };
  PublicKey: { parse(text: string): NativePublicKey; fromBytes(raw: Uint8Array): NativePublicKey };
  PrivateKey: {
    generate(): NativePrivateKey;
    load(path: string): Promise<NativePrivateKey>;
    parse(text: string): NativePrivateKey;
    fromBytes(seed: Uint8Array): NativePrivateKey;
  };
  Issuer: { of(key: NativePrivateKey, keyId: number | undefined, longestLife: number | undefined): NativeIssuer };
  Policy: {
    builtin(): NativePolicy;
    load(folder: string): Promise<NativePolicy>;
    parse(name: string, text: string): NativePolicy;
    parseSet(files: Record<string, string>): NativePolicy;
  };
  Revocation: {
    id(id: string): NativeRevocation;
    subject(subject: string, root: string | undefined): NativeRevocation;
    holder(key: string): NativeRevocation;
    agent(agent: string): NativeRevocation;
    agentUntilNow(agent: string): NativeRevocation;
  };
  Revoking: object;
  Revocations: { copied(list: string): NativeRevocations };
  Store: {
    create(path: string): Promise<NativeStore>;
    open(path: string): Promise<NativeStore>;
    openOrCreate(path: string): Promise<NativeStore>;
    inMemory(): NativeStore;
    shared(number: number): NativeStore;
  };
  Permit: object;
  Admitted: object;
  Guard: {
    of(
      audience: string,
      settings: string,
      store: NativeStore | undefined,
      policies: NativePolicy | undefined,
      revocations: NativeRevocations | undefined,
    ): NativeGuard;
  };
}

export const addon = createRequire(import.meta.url)('../hardtack.node') as Addon;
