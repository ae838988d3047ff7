// A model that predicts from a fixed number of symbols: the state is zero before them each time, as
// HistoryNetwork of textgen/sampling/networks.py has it. It answers the calls of a `Network`.

// What is carried on: the symbols that are seen.
class Seen {
  constructor(ids = []) {
    this.ids = ids;
  }

  copy() {
    return new Seen(this.ids);
  }
}

class WindowNetwork {
  constructor(network) {
    const { description, quantities } = network;
    Object.assign(this, { network, description, quantities, history: description.history });
  }

  start() {
    return new Seen();
  }

  writable(logits, before) {
    return this.network.writable(logits, before);
  }

  // Reads a symbol: all that are seen, from zero, each under what is held now.
  step(seen, id, holds = []) {
    seen.ids = id === END ? [END] : [...seen.ids, id].slice(-this.history);
    const state = this.network.start();
    for (const each of seen.ids.slice(0, -1)) this.network.step(state, each, holds);
    const before = state.copy();
    return { ...this.network.step(state, id, holds), before };
  }

  equations(layer, unit, _, step) {
    return this.network.equations(layer, unit, step.before, step);
  }

  // What is no longer seen has no influence.
  *influenceInSlices(ids, holdsAt, from) {
    const all = [...from.ids, ...ids];
    const seen = all.slice(-this.history);
    const isBegin = seen[0] === END;
    const held = holdsAt(ids.length - 1);
    const read = isBegin ? seen.slice(1) : seen;
    const start = isBegin ? null : this.network.start();
    const found = yield* this.network.influenceInSlices(read, () => held, start);
    return Float32Array.from(ids, (_, number) => found[number - ids.length + found.length] ?? 0);
  }
}

const opened = (network) => (network.description.history ? new WindowNetwork(network) : network);
