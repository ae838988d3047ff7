// A text as it has been read so far, whoever computes: a network in the page, or a server.

// So many texts are kept as they were read, so that what they begin with is not read again.
const KEPT_TEXTS = 4;
// A state is kept after so many symbols; those between are read again where they are needed.
const KEPT_EVERY = 32;
// Symbols that an influence is measured over: what is further back is taken as it was read.
const REACH = 400;

// The holds that act at a place; each acts from `from` (0) on and before `to` (the end).
const holdsAt = (holds, place) =>
  holds.filter(({ from = 0, to = Infinity }) => from <= place && place < to);

const alike = (some, others) => {
  const effects = (holds) => JSON.stringify(holds.map(({ from, to, ...effect }) => effect));
  return effects(some) === effects(others);
};

// A text that has been read, with what is held while it is.
class TextSoFar {
  places = []; // of each printed piece: its values, its cost, what was likely after it
  ids = [];
  firstId = []; // how many symbols there are with those of each place

  constructor(holds) {
    this.holds = holds;
  }

  get text() {
    return this.places.map(({ piece }) => piece).join("");
  }

  // The holds that acted when a symbol was read.
  holdsOf(number) {
    return holdsAt(this.holds, this.placeOf(number));
  }

  // The place that a symbol belongs to.
  placeOf(number) {
    let low = 0;
    let high = this.firstId.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.firstId[middle] <= number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // How many places from the beginning are the same with these symbols and holds.
  same(ids, holds) {
    let count = 0;
    const changes = JSON.stringify(holds) !== JSON.stringify(this.holds);
    while (count < this.firstId.length) {
      const begin = count > 0 ? this.firstId[count - 1] : 0;
      for (let k = begin; k < this.firstId[count]; k++) if (this.ids[k] !== ids[k]) return count;
      if (changes && !alike(holdsAt(holds, count), holdsAt(this.holds, count))) return count;
      count++;
    }
    return count;
  }

  // Takes over the first `count` places of another text.
  takeOver(other, count) {
    this.places = other.places.slice(0, count);
    this.firstId = other.firstId.slice(0, count);
    this.ids = other.ids.slice(0, this.firstId.at(-1) ?? 0);
  }
}

// The texts that were read last.
class KeptTexts {
  #texts = []; // the last one first

  keep(read) {
    this.#texts = [read, ...this.#texts.filter((each) => each !== read)].slice(0, KEPT_TEXTS);
  }

  // The text, if it has been read with these holds.
  find(text, holds) {
    const key = JSON.stringify(holds);
    return this.#texts.find((each) => JSON.stringify(each.holds) === key && each.text === text);
  }

  // The one that begins with most of these symbols under these holds, and with how many places.
  nearest(ids, holds) {
    let most = 0;
    let from = null;
    for (const each of this.#texts) {
      const same = each.same(ids, holds);
      if (same > most) [most, from] = [same, each];
    }
    return [from, most];
  }
}

// What the page must know of a model, whoever computes it.
class Source {
  constructor(name, description) {
    const { labels, quantities, layers, hidden, directions, voices, primer, level, notes } = description;
    Object.assign(this, { name, labels, layers, hidden, directions, voices, notes });
    this.quantities = Object.keys(quantities);
    this.vocabulary = new Vocabulary(description);
    this.primer = this.vocabulary.pieces(primer).join(""); // what its texts begin with
    this.noun = level === "word" ? "token" : "character";
  }

  // A place as a reading takes it.
  told({ piece, bits, isUnknown, ids, shares }, values) {
    return { piece, values, bits, isUnknown, next: ids.map((id, rank) => [this.labels[id], shares[rank]]) };
  }
}
