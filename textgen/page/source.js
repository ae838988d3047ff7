// Where a live page has its values from: a network in the page. A page of `textgen serve` has another
// source (served.js), which asks a server and answers the same calls.

// A slice of work, in milliseconds; then the browser may draw.
const SLICE = 12;
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

// A text as a network in the page has read it.
class ReadText extends TextSoFar {
  #states = new Map(); // after so many symbols
  #pending = 0; // what the symbols of an unfinished piece cost
  #isUnknown = false; // whether one of them is not known

  constructor(network, holds) {
    super(holds);
    this.network = network;
  }

  // Before the first symbol the mark of an end is read.
  static begin(network, holds) {
    const text = new ReadText(network, holds);
    text.state = network.start();
    text.logits = network.step(text.state, END, holdsAt(holds, 0)).logits.slice();
    text.#keep();
    return text;
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
    for (; from < count; from++) this.network.step(state, this.ids[from], this.holdsOf(from));
    return state;
  }

  // A text that begins with the first `count` places of this one, at least one.
  beginning(count, holds) {
    const text = new ReadText(this.network, holds);
    text.takeOver(this, count);
    const symbols = text.ids.length;
    for (const [after, state] of this.#states) if (after <= symbols) text.#states.set(after, state);
    if (symbols === this.ids.length) {
      Object.assign(text, { state: this.state.copy(), logits: this.logits });
      return text;
    }
    const last = symbols - (symbols % KEPT_EVERY || KEPT_EVERY);
    text.state = text.#states.get(last).copy();
    for (let k = last; k < symbols; k++) {
      text.logits = this.network.step(text.state, this.ids[k], this.holdsOf(k)).logits.slice();
    }
    return text;
  }
}

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
class LocalSource extends Source {
  #texts = new KeptTexts();
  canTellInfluence = true;

  constructor(network, name) {
    super(name, network.description);
    this.network = network;
  }

  // A text that is read, with one place for each printed piece.
  async read(text, { holds = [], quantity, signal }) {
    const read = await this.#textOf(text, holds, signal);
    return read.places.map((place) => this.told(place, place.values[quantity]));
  }

  // Writes on after a text, a place at a time; ends where the model ends its text.
  async *write(text, { holds = [], quantity, temperature, topP, seed, length, signal }) {
    const read = await this.#textOf(text, holds, signal);
    const turn = inSlices(signal);
    const decoder = new Decoder(this.vocabulary, { isStart: !read.ids.length });
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
        const place = read.places.at(-1);
        yield this.told(place, place.values[quantity]);
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

  // The text as it was read; read on from the longest beginning that it has in common with another.
  async #textOf(text, holds, signal) {
    let read = this.#texts.find(text, holds);
    if (!read) {
      const { ids, pieces } = this.vocabulary.encode(text);
      const [from, most] = this.#texts.nearest(ids, holds);
      read = from ? from.beginning(most, holds) : ReadText.begin(this.network, holds);
      this.#texts.keep(read); // what has been read of it helps, also when it is given up
      const turn = inSlices(signal);
      while (read.ids.length < ids.length) {
        read.step(ids[read.ids.length], pieces[read.ids.length]);
        await turn();
      }
    }
    this.#texts.keep(read);
    return read;
  }
}

const openSource = ({ name, description }, number) =>
  new LocalSource(opened(new Network(description, bytesOf(`weights-${number}`))), name);
