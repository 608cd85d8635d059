/** The holder's end of Hardtack: capabilities read, delegated and presented offline, on WebCrypto alone. */

export { Call, type Arguments } from './call.js';
export {
  Capability, Presentation, type Delegation, type Inspected, type Presenting,
} from './capability.js';
export type { Caveat, Chain, GrantBlock, Hop, PresentationBlock } from './chain.js';
export { HardtackError, type Code } from './error.js';
export { PrivateKey, PublicKey } from './keys.js';
export { presentingFetch, type Agent, type Fetch, type FetchOptions } from './fetch.js';
export { Presenter } from './presenter.js';
