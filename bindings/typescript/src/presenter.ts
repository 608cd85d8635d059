/** Presenter: which presentation goes with a request now, and when is it made anew? */

import type { Call } from './call.js';
import { Capability, type Presentation, type Presenting } from './capability.js';
import { HardtackError } from './error.js';
import type { PrivateKey } from './keys.js';
import { clock, LONGEST, type Clock } from './life.js';
import { optionsOf } from './options.js';

/** How long before it expires a kept presentation is made anew, in seconds, so that a request under way is not cut. */
const RENEW_BEFORE = 300;

/** The most presentations that are kept: an agent asks a handful of servers. */
const MAX_KEPT = 64;

interface Kept {
  readonly presentation: Promise<Presentation>;
  readonly made: number;
  renew: number;
}

/** What presents one capability to servers, request by request. What is good for many requests is kept and renewed. */
export class Presenter {
  #capability: Capability;
  readonly #key: PrivateKey;
  readonly #evenUncovered: boolean;
  readonly #clock: Clock;
  #kept = new Map<string, Kept>();

  private constructor(capability: Capability, key: PrivateKey, evenUncovered: boolean, clock: Clock) {
    this.#capability = capability;
    this.#key = key;
    this.#evenUncovered = evenUncovered;
    this.#clock = clock;
  }

  /**
   * Makes the presenter of a capability that is bound to `key`. With `evenUncovered` it presents calls that the capability
   * does not cover, too, so that the server refuses them in its own words.
   */
  static async of(
    capability: Capability,
    key: PrivateKey,
    options: { evenUncovered?: boolean; clock?: () => number } = {},
  ): Promise<Presenter> {
    const { evenUncovered, clock: given } = optionsOf(options, 'a presenter', ['evenUncovered', 'clock']);
    await capability.checkHolder(key);
    return new Presenter(capability, key, evenUncovered === true, given ?? clock);
  }

  /** Presents `capability` from now on, such as one that was renewed for the same key. */
  async replace(capability: Capability): Promise<void> {
    await capability.checkHolder(this.#key);
    if (capability.toBase64() === this.#capability.toBase64()) return;
    this.#capability = capability;
    this.#kept = new Map();
  }

  /** Returns the presentation that is good for all that the capability grants, made anew once half of its life is over. */
  session(audience: string): Promise<Presentation> {
    return this.#keep(audience, undefined);
  }

  /** Returns the presentation that is good for what is no call, such as opening a session or asking for a list. */
  forNoCall(audience: string): Promise<Presentation> {
    return this.#keep(audience, []);
  }

  /** Makes one that is good for these calls alone: for one call once, for several as often as they are made. */
  forCalls(audience: string, calls: readonly Call[]): Promise<Presentation> {
    const [call, ...more] = calls;
    if (!call) return this.forNoCall(audience);
    return more.length > 0 ? this.#long(audience, { only: calls }) : this.#present(audience, { call });
  }

  #present(audience: string, presenting: Presenting): Promise<Presentation> {
    const evenUncovered = this.#evenUncovered;
    return this.#capability.present(this.#key, audience, { now: this.#clock(), ...presenting, evenUncovered });
  }

  /** As long as servers accept; a capability that ends sooner is presented to its end at most. */
  async #long(audience: string, presenting: Presenting): Promise<Presentation> {
    try {
      return await this.#present(audience, { ...presenting, ttl: LONGEST.session });
    } catch (error) {
      if (!(error instanceof HardtackError) || error.code !== 'beyond_expiry') throw error;
      return this.#present(audience, presenting);
    }
  }

  async #keep(audience: string, only: readonly Call[] | undefined): Promise<Presentation> {
    const now = this.#clock();
    const place = `${only ? 'none' : 'all'} ${audience}`;
    const known = this.#kept.get(place);
    // To a clock that went back since it was made, it lives longer than servers accept.
    if (known && known.made <= now && now < known.renew) return known.presentation;
    const kept: Kept = { presentation: this.#long(audience, { now, only }), made: now, renew: now + 1 };
    this.#kept.delete(place);
    if (this.#kept.size >= MAX_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(place, kept);
    try {
      const presentation = await kept.presentation;
      const life = presentation.expires - now;
      kept.renew = now + Math.max(life - RENEW_BEFORE, Math.floor(life / 2));
      return presentation;
    } catch (error) {
      if (this.#kept.get(place) === kept) this.#kept.delete(place);
      throw error;
    }
  }
}
