/** Echo: no answer hands the runtime a bearer that was sent for it, by an error page or a tool that shows requests. */

import { concat, toBase64, utf8, type Bytes } from './bytes.js';
import { refuse } from './error.js';

/** How many characters are looked for in one piece: 144 bits, which no other text has by chance. */
const WINDOW = 24;

/** How far apart these pieces begin. */
const STRIDE = 8;

/** How many characters at the end, where the signature is that seals it, are looked for in base64, too. */
const SEAL = 96;

/** How much longer than it lives a presentation is looked for, in seconds: the server's clock may be slow. */
const LONGER = 60;

/** The most presentations that are looked for at once, some 10 KiB each: seventeen a second, each for one call, for two minutes. */
const MAX_ALIVE = 2048;

/** What stands where a bearer stood. */
const MARK = utf8('BEARER-WITHHELD-BY-HARDTACK');

/** What may be of a bearer, in either alphabet of base64. */
const LETTERS = /[A-Za-z0-9_+/-]+/g;

/** As bytes and as text have one place for each. */
const latin1 = new TextDecoder('latin1');

const plain = (text: string): string => text.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');

function piecesOf(own: string): string[] {
  const seal = utf8(own.slice(-SEAL));
  // Whatever stands before it in what is encoded, it begins at one of three places.
  const texts = [plain(own), ...[0, 1, 2].map((skipped) => plain(toBase64(seal.subarray(skipped))))];
  return texts.flatMap((text) => {
    const last = text.length - WINDOW;
    const starts = Array.from({ length: Math.max(Math.floor(last / STRIDE) + 1, 0) }, (_, at) => at * STRIDE);
    return [...starts, last].filter((at) => at >= 0).map((at) => text.slice(at, at + WINDOW));
  });
}

/** The presentations that were sent and are still good. */
export class Sent {
  #pieces = new Map<string, number>();
  #alive: { until: number; pieces: string[] }[] = [];

  /** Looks for a presentation from now on, until it is no longer good. */
  note(own: string, expires: number, now: number): void {
    for (const { pieces } of this.#alive.filter(({ until }) => until <= now)) {
      for (const piece of pieces) {
        const left = this.#pieces.get(piece)! - 1;
        if (left > 0) this.#pieces.set(piece, left);
        else this.#pieces.delete(piece);
      }
    }
    this.#alive = this.#alive.filter(({ until }) => until > now);
    if (this.#alive.length >= MAX_ALIVE) {
      refuse('overloaded', 'too many presentations are good at once; wait a minute, or present for a session');
    }
    const pieces = piecesOf(own);
    for (const piece of pieces) this.#pieces.set(piece, (this.#pieces.get(piece) ?? 0) + 1);
    this.#alive.push({ until: expires + LONGER, pieces });
  }

  /** Where a piece begins in a run of letters; -1 if none does. */
  find(run: string): number {
    const letters = plain(run);
    for (let at = 0; at + WINDOW <= letters.length; at++) {
      if (this.#pieces.has(letters.slice(at, at + WINDOW))) return at;
    }
    return -1;
  }

  /** Whether some text has a bearer in it. */
  isIn(text: string): boolean {
    return (text.match(LETTERS) ?? []).some((run) => this.find(run) >= 0);
  }

  /** Passes bytes on without any of them, however they are cut into chunks. Only the letters at an end wait for more. */
  scrubber(): TransformStream<Uint8Array, Uint8Array> {
    let held: Bytes = new Uint8Array();
    let withholds = false;
    const pass = (chunk: Uint8Array, isLast: boolean): Bytes => {
      const bytes = concat(held, chunk);
      const text = latin1.decode(bytes);
      const parts: Bytes[] = [];
      let from = 0;
      if (withholds) {
        // The rest of the run of which the beginning was withheld.
        from = /^[A-Za-z0-9_+/=-]*/.exec(text)![0].length;
        withholds = from === text.length;
      }
      LETTERS.lastIndex = from;
      for (let run = LETTERS.exec(text); run && !withholds; run = LETTERS.exec(text)) {
        const at = this.find(run[0]);
        if (at < 0) continue;
        parts.push(bytes.slice(from, run.index + at), MARK);
        const end = run.index + run[0].length;
        from = end + /^=*/.exec(text.slice(end, end + 2))![0].length;
        withholds = from === text.length;
      }
      const tail = withholds || isLast ? 0 : Math.min(/[A-Za-z0-9_+/-]*$/.exec(text.slice(-WINDOW))![0].length, WINDOW - 1);
      const end = Math.max(bytes.length - tail, from);
      parts.push(bytes.slice(from, end));
      held = bytes.slice(end);
      return concat(...parts);
    };
    const send = (bytes: Bytes, to: TransformStreamDefaultController<Uint8Array>): void => {
      if (bytes.length > 0) to.enqueue(bytes);
    };
    return new TransformStream({
      transform: (chunk, to) => send(pass(chunk, false), to),
      flush: (to) => send(pass(new Uint8Array(), true), to),
    });
  }
}
