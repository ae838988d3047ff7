// Text to symbols and back, as textgen/corpus (normalization.py, vocabulary.py, words.py) does it.

// The marks: the end of a text, which stands before each one too, and what is not known.
const END = 0, UNKNOWN = 1;
const REPLACEMENT = "\ufffd";

class Vocabulary {
  // symbols: the text of each id; the first two, the marks, are empty.
  constructor({ level, symbols, folded, spelled, normalization }) {
    Object.assign(this, { level, symbols, folded, spelled, normalization });
    this.ids = new Map(symbols.map((symbol, id) => [symbol, id]));
    this.ids.delete("");
    this.unknownText = folded && !spelled ? ` ${REPLACEMENT}` : REPLACEMENT;
  }

  normalize(text) {
    const { newlines, nfc, fold } = this.normalization;
    text = text.replaceAll("\ufeff", "");
    if (newlines) text = text.replace(/\r\n?/g, "\n");
    if (fold) text = text.replaceAll("\u00ad", "").replaceAll("Σ", "σ").toLowerCase();
    if (nfc) text = text.normalize("NFC");
    return fold ? (text.match(/\p{L}[\p{L}\p{M}]*/gu) ?? []).join(" ") : text;
  }

  // A text as it is read: ids; the piece of the text that each stands for, "" within a character;
  // and the places of those that the model does not know.
  encode(text) {
    const normal = this.normalize(text);
    const ids = [], pieces = [];
    const add = (symbol, piece) => {
      ids.push(this.ids.get(symbol) ?? UNKNOWN);
      pieces.push(piece);
    };
    for (const part of this.#cut(normal)) {
      if (this.level === "byte") {
        const bytes = Array.from(new TextEncoder().encode(part));
        bytes.forEach((byte, k) =>
          add(String.fromCharCode(byte), k + 1 < bytes.length ? "" : wellFormed(part)),
        );
      } else if (this.level === "char" || this.ids.has(part) || !this.spelled) add(part, part);
      else for (const char of part) add(char, char);
    }
    if (this.folded && pieces.length) pieces[0] = pieces[0].replace(/^ /, "");
    const unknown = [...ids.keys()].filter((place) => ids[place] === UNKNOWN);
    return { ids, pieces, unknown };
  }

  // Characters, or words with the space before them.
  #cut(text) {
    if (this.level !== "word") return text;
    const words = /(?: ?[\p{L}\p{N}\p{M}](?:[\p{L}\p{N}\p{M}]|['’](?=[\p{L}\p{N}])){0,63})|./gsu;
    return (this.folded && text ? ` ${text}` : text).match(words) ?? [];
  }

  // The text of each id; joined they are the whole text.
  pieces(ids) {
    const decoder = new Decoder(this);
    const pieces = Array.from(ids, (id) => decoder.feed(id));
    if (pieces.length) pieces[pieces.length - 1] += decoder.flush();
    return pieces;
  }
}

// Turns ids into text one at a time.
class Decoder {
  // isStart: whether a text begins at the first id.
  constructor(vocabulary, { isStart = true } = {}) {
    this.vocabulary = vocabulary;
    this.isStart = isStart;
    this.bytes = vocabulary.level === "byte" ? new TextDecoder("utf-8", { ignoreBOM: true }) : null;
  }

  // The text that an id completes; "" within a character.
  feed(id) {
    const { symbols, folded, unknownText } = this.vocabulary;
    if (id === END) {
      this.isStart = true;
      return this.flush();
    }
    if (this.bytes && id === UNKNOWN) return this.flush() + unknownText;
    if (this.bytes) {
      return this.bytes.decode(Uint8Array.of(symbols[id].charCodeAt(0)), { stream: true });
    }
    const text = id === UNKNOWN ? unknownText : symbols[id];
    const isFirst = this.isStart;
    this.isStart = false;
    return folded && isFirst ? text.replace(/^ /, "") : text;
  }

  // What is left at the end: a character that is not finished.
  flush() {
    return this.bytes ? this.bytes.decode() : "";
  }
}

// A lone surrogate is no character.
function wellFormed(char) {
  return /^\p{Cs}$/u.test(char) ? REPLACEMENT : char;
}
