// Where a live page has its values from: a network in the page. `textgen serve` has another source,
// which asks a server and answers the same calls.

// A slice of work, in milliseconds; then the browser may draw.
const SLICE = 12;
// So many texts are kept as they were read, so that what they begin with is not read again.
const KEPT_TEXTS = 4;
// A state is kept after so many symbols; those between are read again where they are needed.
const KEPT_EVERY = 32;
// Symbols that an influence is measured over: what is further back is taken as it was read.
const REACH = 400;
const LIKELIEST = 5;

// Waits until the browser has done what it has to do.
const channel = new MessageChannel();
const waiting = [];
channel.port1.onmessage = () => waiting.shift()();
function breath() {
  return new Promise((resolve) => {
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
}

// Work in slices: `await turn()` between two steps; it throws when the work is not wanted any more.
function inSlices(signal) {
  let begin = performance.now();
  return async () => {
    if (performance.now() - begin < SLICE) return;
    await breath();
    signal?.throwIfAborted();
    begin = performance.now();
  };
}

// A number from 0 to 1 that depends on the seed and the place alone: a text that is written again
// with a hold differs by the hold, not by luck.
function chance(seed, place) {
  let x = (seed ^ Math.imul(place + 1, 0x9e3779b1)) >>> 0;
  for (const factor of [0x85ebca6b, 0xc2b2ae35]) x = Math.imul(x ^ (x >>> 15), factor) >>> 0;
  return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32;
}

// The holds that act at a place; each acts from `from` (0) on and before `to` (the end).
const holdsAt = (holds, place) =>
  holds.filter(({ from = 0, to = Infinity }) => from <= place && place < to);

// A text as a network has read it.
class ReadText {
  places = []; // of each printed piece: its values, its cost, what was likely after it
  ids = [];
  firstId = []; // of each place
  #states = new Map(); // after so many symbols
  #pending = 0; // what the symbols of an unfinished piece cost
  #isUnknown = false; // whether one of them is not known

  constructor(network, holds) {
    Object.assign(this, { network, holds });
  }

  // Before the first symbol the mark of an end is read.
  static begin(network, holds) {
    const text = new ReadText(network, holds);
    text.state = network.start();
    text.logits = network.step(text.state, END, holdsAt(holds, 0)).logits.slice();
    text.#keep();
    return text;
  }

  get text() {
    return this.places.map(({ piece }) => piece).join("");
  }

  #keep() {
    if (this.ids.length % KEPT_EVERY === 0) this.#states.set(this.ids.length, this.state.copy());
  }

  // Reads a symbol; `piece` is what it prints, "" where the piece goes on.
  step(id, piece) {
    const result = this.network.step(this.state, id, holdsAt(this.holds, this.places.length));
    this.#pending += costOf(this.logits, id);
    this.#isUnknown ||= id === UNKNOWN;
    this.logits = result.logits.slice();
    this.ids.push(id);
    this.#keep();
    if (!piece) return;
    const values = {};
    for (const name of this.network.quantities) values[name] = result.values[name].slice();
    const chances = softmax(this.logits);
    this.places.push({ piece, values, bits: this.#pending, isUnknown: this.#isUnknown, ...best(chances) });
    this.firstId.push(this.ids.length);
    this.#pending = 0;
    this.#isUnknown = false;
  }

  // The state after `count` symbols, read again from the nearest one that was kept.
  stateAfter(count) {
    let from = count - (count % KEPT_EVERY);
    const state = this.#states.get(from).copy();
    for (; from < count; from++) this.network.step(state, this.ids[from], this.#holdsOf(from));
    return state;
  }

  // The holds that acted when a symbol was read.
  #holdsOf(number) {
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

  // A text that begins with the first `count` places of this one, at least one.
  beginning(count, holds) {
    const text = new ReadText(this.network, holds);
    const symbols = this.firstId[count - 1];
    text.places = this.places.slice(0, count);
    text.firstId = this.firstId.slice(0, count);
    text.ids = this.ids.slice(0, symbols);
    for (const [after, state] of this.#states) if (after <= symbols) text.#states.set(after, state);
    if (symbols === this.ids.length) {
      Object.assign(text, { state: this.state.copy(), logits: this.logits });
      return text;
    }
    const last = symbols - (symbols % KEPT_EVERY || KEPT_EVERY);
    text.state = text.#states.get(last).copy();
    for (let k = last; k < symbols; k++) {
      text.logits = this.network.step(text.state, this.ids[k], this.#holdsOf(k)).logits.slice();
    }
    return text;
  }
}

const alike = (some, others) => {
  const effects = (holds) => JSON.stringify(holds.map(({ from, to, ...effect }) => effect));
  return effects(some) === effects(others);
};

// What a symbol costs in bits.
function costOf(logits, id) {
  const top = logits[likeliest(logits)];
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return (Math.log(sum) + top - logits[id]) / Math.LN2;
}

// The likeliest symbols and their probabilities.
function best(chances) {
  const ids = [];
  for (let id = 0; id < chances.length; id++) {
    if (ids.length === LIKELIEST && chances[id] <= chances[ids[LIKELIEST - 1]]) continue;
    ids.push(id);
    ids.sort((a, b) => chances[b] - chances[a] || a - b);
    ids.length = Math.min(ids.length, LIKELIEST);
  }
  return { ids, shares: ids.map((id) => chances[id]) };
}

// The answers of a source are places: {piece, values, bits, isUnknown, next: [[label, share], ...]}.
class LocalSource {
  #texts = []; // the last one first

  constructor(network, name) {
    this.network = network;
    this.name = name;
    const { labels, quantities, layers, hidden, directions, description } = network;
    Object.assign(this, { labels, quantities, layers, hidden, directions });
    this.primer = network.vocabulary.pieces(description.primer).join(""); // what its texts begin with
    this.noun = description.level === "word" ? "token" : "character";
  }

  // A text that is read, with one place for each printed piece.
  async read(text, { holds = [], quantity, signal }) {
    const read = await this.#textOf(text, holds, signal);
    return read.places.map((place) => this.#told(place, quantity));
  }

  #told({ piece, values, bits, isUnknown, ids, shares }, quantity) {
    const next = ids.map((id, rank) => [this.labels[id], shares[rank]]);
    return { piece, values: values[quantity], bits, isUnknown, next };
  }

  // Writes on after a text, a place at a time; ends where the model ends its text.
  async *write(text, { holds = [], quantity, temperature, topP, seed, length, signal }) {
    const read = await this.#textOf(text, holds, signal);
    const turn = inSlices(signal);
    const decoder = new Decoder(this.network.vocabulary, { isStart: !read.ids.length });
    for (let left = length; left > 0; ) {
      const before = read.ids.at(-1) ?? END;
      const logits = this.network.writable(read.logits.slice(), before);
      const random = () => chance(seed, read.ids.length);
      const id = sample(logits, { temperature, topP, random });
      if (id === END) return;
      const piece = decoder.feed(id);
      read.step(id, piece);
      if (piece) {
        left--;
        yield this.#told(read.places.at(-1), quantity);
      }
      await turn();
    }
  }

  // How much each character moved the prediction after a place: a share for each place up to it.
  async influence(text, place, { holds = [], signal }) {
    const read = await this.#textOf(text, holds, signal);
    const end = read.firstId[place];
    const begin = Math.max(0, end - REACH - (end % KEPT_EVERY));
    const turn = inSlices(signal);
    const slices = this.network.influenceInSlices(
      read.ids.slice(begin, end),
      (number) => holdsAt(holds, read.placeOf(begin + number)),
      read.stateAfter(begin),
    );
    let step = slices.next();
    while (!step.done) {
      await turn();
      step = slices.next();
    }
    const shares = new Float32Array(place + 1);
    step.value.forEach((share, number) => (shares[read.placeOf(begin + number)] += share));
    return shares;
  }

  // The cell's equations with the numbers of a unit at a place.
  async equations(text, place, layer, unit, { holds = [], signal }) {
    const read = await this.#textOf(text, holds, signal);
    const last = read.firstId[place] - 1;
    const before = read.stateAfter(last);
    const step = this.network.step(before.copy(), read.ids[last], holdsAt(holds, place));
    return this.network.equations(layer, unit, before, step);
  }

  #keep(read) {
    this.#texts = [read, ...this.#texts.filter((each) => each !== read)].slice(0, KEPT_TEXTS);
  }

  // The text as it was read; read on from the longest beginning that it has in common with another.
  async #textOf(text, holds, signal) {
    const key = JSON.stringify(holds);
    let read = this.#texts.find((each) => JSON.stringify(each.holds) === key && each.text === text);
    if (!read) {
      const { ids, pieces } = this.network.encode(text);
      let most = 0;
      let from = null;
      for (const each of this.#texts) {
        const same = each.same(ids, holds);
        if (same > most) [most, from] = [same, each];
      }
      read = from ? from.beginning(most, holds) : ReadText.begin(this.network, holds);
      this.#keep(read); // what has been read of it helps, also when it is given up
      const turn = inSlices(signal);
      while (read.ids.length < ids.length) {
        read.step(ids[read.ids.length], pieces[read.ids.length]);
        await turn();
      }
    }
    this.#keep(read);
    return read;
  }
}
