/** `@hardtack/server`: a guard for servers in Node. */

export { Call, Message, type Arguments, type CallParts, type LargeIntegers, type ReadingOptions, type ToolParts } from './call.js';
export {
  Denied, Forbidden, HardtackError, Refused, Unauthenticated, Unavailable, type DeniedFields, type RefusedFields,
} from './errors.js';
export { type At, type Moment, type Texts } from './given.js';
export {
  Admitted, Guard, Permit, type Bearer, type GuardOptions, type Lifetimes, type Preview, type Root,
} from './guard.js';
export { Issuer, type Granting, type IssuerOptions } from './issuer.js';
export { PrivateKey, PublicKey, type SomeKey } from './keys.js';
export { Policy } from './policy.js';
export { Revocation, Revocations, Revoking, type RevocationList } from './revocation.js';
export { Store, type RecordsOptions, type RevokeOptions } from './store.js';

import { addon } from './addon.js';

/** The version of the package. */
export const version: string = addon.version();
