/**
 * AES-256-GCM with one key.
 *
 * Calls are synchronous, and share the memory that they work in: a new array for each step would take as long as the cipher. For
 * the same reason it is that of `node:crypto`: `crypto.subtle` takes several times as long for the few bytes of a field.
 *
 * @module
 */

import { nodeCrypto } from "./crypto.ts";

const ALGORITHM = "aes-256-gcm";
const IV_BYTES = 12;
const TAG_BYTES = 16;
const BYTES_PER_CODE_UNIT = 3;
const FEW_CHARACTERS = 64;
const LAST_ASCII = 0x7f;

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const iv = new Uint8Array(IV_BYTES);

/** Memory that is used by one call after another. */
class Memory {
  static readonly #MAX_KEPT = 256 * 1024;
  #bytes = new Uint8Array(4 * 1024);

  /** An array of at least a size. What is in it counts until the next call. */
  take(size: number): Uint8Array<ArrayBuffer> {
    if (size <= this.#bytes.length) return this.#bytes;
    const bytes = new Uint8Array(size);
    if (size <= Memory.#MAX_KEPT) this.#bytes = bytes;
    return bytes;
  }

  /** The UTF-8 bytes of a text. */
  encode(text: string): Uint8Array {
    const { length } = text;
    const bytes = this.take(length * BYTES_PER_CODE_UNIT);
    if (length <= FEW_CHARACTERS) {
      // A call into the runtime takes longer than so many characters, if they are ASCII, as most names are.
      let at = 0;
      for (let code = 0; at < length; at++) {
        code = text.charCodeAt(at);
        if (code > LAST_ASCII) break;
        bytes[at] = code;
      }
      if (at === length) return bytes.subarray(0, length);
    }
    return bytes.subarray(0, encoder.encodeInto(text, bytes).written);
  }
}

const texts = new Memory();
const places = new Memory();
const wholes = new Memory();

/** Encrypts and decrypts texts with one key. */
export class Cipher {
  readonly #secret: Uint8Array;

  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /**
   * Encrypts a text, as base64.
   *
   * @param place What it belongs to: it is decrypted for this place alone.
   */
  seal(text: string, place: string): string {
    crypto.getRandomValues(iv);
    const cipher = nodeCrypto().createCipheriv(ALGORITHM, this.#secret, iv);
    cipher.setAAD(places.encode(place));
    const encrypted = cipher.update(texts.encode(text));
    cipher.final(); // nothing is left in this mode
    const end = IV_BYTES + encrypted.length;
    const whole = wholes.take(end + TAG_BYTES);
    whole.set(iv);
    whole.set(encrypted, IV_BYTES);
    whole.set(cipher.getAuthTag(), end);
    return whole.subarray(0, end + TAG_BYTES).toBase64();
  }

  /** What was sealed; `undefined` if it was changed, or sealed with another key or for another place. */
  open(sealed: string, place: string): string | undefined {
    try {
      const whole = wholes.take(sealed.length);
      const end = whole.setFromBase64(sealed).written - TAG_BYTES;
      if (end < IV_BYTES) return undefined;
      const decipher = nodeCrypto().createDecipheriv(ALGORITHM, this.#secret, whole.subarray(0, IV_BYTES));
      decipher.setAAD(places.encode(place));
      decipher.setAuthTag(whole.subarray(end, end + TAG_BYTES));
      const text = decipher.update(whole.subarray(IV_BYTES, end));
      decipher.final(); // it throws if anything was changed
      return decoder.decode(text);
    } catch {
      return undefined;
    }
  }
}
