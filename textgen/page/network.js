// A model that runs in the page: its weights, one step of it, and the way back from a prediction to
// the characters before it. `CELLS` (cells.js) has the equations.

// Vectors and what is done with them. A vector is {data, gradient}. While `tape` is an array, each
// operation leaves there how its gradient flows back; otherwise the vectors of a step are those of
// the step before, used again.
class Operations {
  constructor() {
    this.kept = [];
    this.used = 0;
    this.tape = null;
  }

  vector(size) {
    if (this.tape) return { data: new Float32Array(size), gradient: new Float32Array(size) };
    const number = this.used++;
    if (this.kept[number]?.data.length !== size) {
      this.kept[number] = { data: new Float32Array(size), gradient: null };
    }
    return this.kept[number];
  }

  // Adds to the gradient of `a` that of `y` times a factor. What has none is a constant.
  #flow(a, y, factor) {
    const { gradient } = a;
    if (gradient) for (let k = 0; k < gradient.length; k++) gradient[k] += y.gradient[k] * factor(k);
  }

  add(a, ...others) {
    return others.reduce((sum, b) => this.#sum(sum, b), a);
  }

  #sum(a, b) {
    const y = this.vector(a.data.length);
    for (let k = 0; k < y.data.length; k++) y.data[k] = a.data[k] + b.data[k];
    this.tape?.push(() => {
      for (const part of [a, b]) this.#flow(part, y, () => 1);
    });
    return y;
  }

  multiply(a, b) {
    const y = this.vector(a.data.length);
    for (let k = 0; k < y.data.length; k++) y.data[k] = a.data[k] * b.data[k];
    this.tape?.push(() => {
      this.#flow(a, y, (k) => b.data[k]);
      this.#flow(b, y, (k) => a.data[k]);
    });
    return y;
  }

  // Number by number: the value, and the slope by the number and the value.
  #each(a, value, slope) {
    const y = this.vector(a.data.length);
    for (let k = 0; k < y.data.length; k++) y.data[k] = value(a.data[k]);
    this.tape?.push(() => this.#flow(a, y, (k) => slope(a.data[k], y.data[k])));
    return y;
  }

  tanh(a) {
    return this.#each(a, Math.tanh, (_, y) => 1 - y * y);
  }

  sigmoid(a) {
    return this.#each(a, (x) => 0.5 * Math.tanh(0.5 * x) + 0.5, (_, y) => y * (1 - y));
  }

  relu(a) {
    return this.#each(a, (x) => (x <= 0 ? 0 : x), (x) => (x <= 0 ? 0 : 1));
  }

  identity(a) {
    return a;
  }

  // 1 less the number.
  rest(a) {
    return this.#each(a, (x) => 1 - x, () => -1);
  }

  // Equal parts: views, of the gradient too. A vector is always split alike, and keeps its parts.
  split(a, count) {
    const size = a.data.length / count;
    a.parts ??= Array.from({ length: count }, (_, k) => ({
      data: a.data.subarray(k * size, (k + 1) * size),
      gradient: a.gradient?.subarray(k * size, (k + 1) * size) ?? null,
    }));
    return a.parts;
  }

  product(matrix, x) {
    const y = this.vector(matrix.rows);
    matrix.multiply(x.data, y.data);
    this.tape?.push(() => x.gradient && matrix.multiplyBack(y.gradient, x.gradient));
    return y;
  }

  // What is made of a vector by changes, one after the other: {unit, value} puts a number in its
  // place, {value} puts it in all places, {read, write, value} moves the vector along `write` until
  // `read` measures the value.
  changed(a, changes) {
    const y = this.vector(a.data.length);
    y.data.set(a.data);
    for (const { unit, read, write, value } of changes) {
      if (read) {
        const shift = value - dot(read, y.data);
        for (let k = 0; k < write.length; k++) y.data[k] += shift * write[k];
      } else if (unit === null) y.data.fill(value);
      else y.data[unit] = value;
    }
    this.tape?.push(() => {
      for (const { unit, read, write } of [...changes].reverse()) {
        if (read) {
          const along = dot(write, y.gradient);
          for (let k = 0; k < read.length; k++) y.gradient[k] -= along * read[k];
        } else if (unit === null) y.gradient.fill(0);
        else y.gradient[unit] = 0;
      }
      this.#flow(a, y, () => 1);
    });
    return y;
  }
}

function dot(a, b) {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k] * b[k];
  return sum;
}

// A matrix of `rows` rows. Of several networks side by side (members) each has columns of its own:
// a row has the `width` columns of its member alone. The rows are in blocks, one for each gate, and
// in each block they are those of the first member, then those of the second.
class Matrix {
  constructor({ rows, width, block, members }, data) {
    Object.assign(this, { rows, width, data });
    this.group = members === 1 ? rows : block / members;
    this.members = members;
  }

  multiply(x, y) {
    const { rows, width: w, data, group, members } = this;
    for (let begin = 0, number = 0; begin < rows; begin += group, number++) {
      const from = (number % members) * w;
      const own = members === 1 ? x : x.subarray(from, from + w);
      const end = begin + group;
      let row = begin;
      // Eight rows at a time: a sum waits for its last addition, and each number of x is read once.
      for (; row + 8 <= end; row += 8) {
        let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0;
        for (let k = 0, at = row * w; k < w; k++, at++) {
          const value = own[k];
          a += data[at] * value;
          b += data[at + w] * value;
          c += data[at + 2 * w] * value;
          d += data[at + 3 * w] * value;
          e += data[at + 4 * w] * value;
          f += data[at + 5 * w] * value;
          g += data[at + 6 * w] * value;
          h += data[at + 7 * w] * value;
        }
        y[row] = a;
        y[row + 1] = b;
        y[row + 2] = c;
        y[row + 3] = d;
        y[row + 4] = e;
        y[row + 5] = f;
        y[row + 6] = g;
        y[row + 7] = h;
      }
      for (; row < end; row++) y[row] = dot(this.row(row), own);
    }
  }

  // Adds to the gradient of x what flows back from that of y.
  multiplyBack(dy, dx) {
    const { rows, width, data, group, members } = this;
    for (let row = 0, at = 0; row < rows; row++) {
      const from = (Math.floor(row / group) % members) * width;
      for (let k = from; k < from + width; k++, at++) dx[k] += dy[row] * data[at];
    }
  }

  row(number) {
    return this.data.subarray(number * this.width, (number + 1) * this.width);
  }
}

// What a network carries from step to step: an array for each state of each layer.
class State {
  constructor(layers) {
    this.layers = layers;
  }

  copy() {
    const own = (layer) =>
      Object.fromEntries(Object.entries(layer).map(([name, values]) => [name, values.slice()]));
    return new State(this.layers.map(own));
  }

  clear() {
    for (const layer of this.layers) {
      for (const values of Object.values(layer)) values.fill(0);
    }
  }
}

// Numbers of 16 bits (IEEE half precision) as they are.
function halfNumbers() {
  return Float32Array.from({ length: 0x10000 }, (_, bits) => {
    const power = (bits >> 10) & 31, part = bits & 1023;
    const size = power ? (1 + part / 1024) * 2 ** (power - 15) : part * 2 ** -24;
    return bits & 0x8000 ? -size : size;
  });
}

// The weights by name, from bytes as textgen/export/packed.py writes them: matrices, and vectors.
function unpacked(tensors, bytes) {
  const matrices = {}, vectors = {};
  const half = halfNumbers();
  for (const { name, kind, offset, count, group, matrix } of tensors) {
    let at = offset;
    const take = (Type, length) => {
      const end = at + length * Type.BYTES_PER_ELEMENT;
      const taken = new Type(bytes.slice(at, end).buffer);
      at = end;
      return taken;
    };
    let data;
    if (kind === "float32") data = take(Float32Array, count);
    else if (kind === "half") data = Float32Array.from(take(Uint16Array, count), (bits) => half[bits]);
    else {
      // Whole numbers, and for each group of them in a row what they are multiplied by.
      const scales = take(Float32Array, (count / matrix.width) * Math.ceil(matrix.width / group));
      const whole = take(kind === "int16" ? Int16Array : Int8Array, count);
      data = new Float32Array(count);
      for (let row = 0, k = 0, number = 0; row < matrix.rows; row++) {
        for (let column = 0; column < matrix.width; column++, k++) {
          data[k] = whole[k] * scales[number];
          if (column + 1 === matrix.width || (column + 1) % group === 0) number++;
        }
      }
    }
    if (matrix) matrices[name] = new Matrix(matrix, data);
    else vectors[name] = { data, gradient: null };
  }
  return { matrices, vectors };
}

// A trained model.
//
// description: what `describe` of textgen/export/packed.py says of it.
// bytes: its weights.
class Network {
  constructor(description, bytes) {
    const { quantities, layers, hidden, labels } = description;
    Object.assign(this, { description, layers, hidden, labels });
    this.quantities = Object.keys(quantities);
    this.vocabulary = new Vocabulary(description);
    this.end = END;
    const { matrices, vectors } = unpacked(description.tensors, bytes);
    this.embedding = matrices["embedding.weight"];
    this.head = matrices["head.weight"] ?? this.embedding;
    this.headBias = vectors["head.bias"];
    this.voices = this.#scaled(matrices["labels.weight"]);
    const own = (names, from, layer) => names.map((name) => from[`layers.${layer}.${name}`]);
    this.parts = Array.from({ length: layers }, (_, layer) => ({
      input: matrices[`layers.${layer}.weight_ih`],
      bias: vectors[`layers.${layer}.bias`],
      recurrent: own(description.products, matrices, layer),
      vectors: Object.fromEntries(
        description.vectors.map((name) => [name, vectors[`layers.${layer}.${name}`]]),
      ),
    }));
    this.directions = description.directions.map((each, number) => ({
      ...each,
      read: vectors[`directions.${number}.read`]?.data,
      write: vectors[`directions.${number}.write`]?.data,
    }));
    this.on = new Operations();
    this.values = Object.fromEntries(
      this.quantities.map((name) => [name, new Float32Array(layers * hidden)]),
    );
    this.entering = new Map();
  }

  encode(text) {
    return this.vocabulary.encode(text);
  }

  // Zeros: nothing has been read. What is read first is `end`, the mark before every text.
  start() {
    const zeros = () =>
      Object.fromEntries(
        this.description.states.map((name) => [name, new Float32Array(this.hidden)]),
      );
    return new State(Array.from({ length: this.layers }, zeros));
  }

  // Reads a symbol. The state is changed in place; the arrays that are returned are used again by
  // the next step. The mark of an end sets the state to zero before it is read.
  step(state, id, holds = []) {
    if (id === END) state.clear();
    this.on.used = 0;
    const before = state.layers.map(constants);
    const { layers, output } = this.#advance(this.on, before, { pre: this.#entered(id) }, holds);
    layers.forEach((layer, number) => {
      for (const [name, { data }] of Object.entries(layer)) state.layers[number][name].set(data);
    });
    return { logits: this.#logits(this.on, output).data, values: this.values, holds };
  }

  // The input's share of the first layer for a symbol; those of the last symbols are kept.
  #entered(id) {
    if (this.entering.size > 2000) this.entering.clear();
    if (!this.entering.has(id)) {
      const { input, bias } = this.parts[0];
      const data = new Float32Array(input.rows);
      input.multiply(this.embedding.row(id), data);
      for (let k = 0; k < data.length; k++) data[k] += bias.data[k];
      this.entering.set(id, { data, gradient: null });
    }
    return this.entering.get(id);
  }

  // One step through all layers; `pre` is the input's share of the first one, or `x` its input.
  #advance(on, before, { pre, x }, holds) {
    const { cell, nonlinearity, residual, quantities } = this.description;
    const nothing = { data: new Float32Array(this.hidden), gradient: null };
    const layers = [];
    let below = { c: nothing };
    this.parts.forEach((part, layer) => {
      const hold = (name, value) => {
        const quantity = this.quantities.find((each) => quantities[each] === name);
        const changes = holds.length ? this.#changes(holds, quantity, layer) : [];
        const held = changes.length ? on.changed(value, changes) : value;
        this.values[quantity].set(held.data, layer * this.hidden);
        return held;
      };
      const made = CELLS[cell]({
        on,
        hold,
        below,
        nonlinearity,
        pre: this.#voiced(on, pre ?? on.add(on.product(part.input, x), part.bias), layer, holds),
        state: before[layer],
        products: part.recurrent.map((matrix) => (vector) => on.product(matrix, vector)),
        vectors: part.vectors,
      });
      x = layer > 0 && residual ? on.add(made.h, x) : made.h;
      pre = undefined;
      below = made;
      layers.push(made);
    });
    return { layers, output: x };
  }

  // What each label adds to the input's share of the first layer.
  #scaled(labels) {
    const { voices, labelInput } = this.description;
    return voices.map((_, number) => ({
      data: labels.row(number).map((weight) => labelInput * weight), gradient: null,
    }));
  }

  // The input's share of a layer under the labels among the holds.
  #voiced(on, entering, layer, holds) {
    if (layer > 0) return entering;
    const labels = holds.map(({ label }) => this.voices[label]).filter((vector) => vector);
    return on.add(entering, ...labels);
  }

  // What holds do to a quantity of a layer.
  #changes(holds, quantity, layer) {
    return holds
      .map((hold) => {
        if (hold.direction === undefined) return { unit: null, ...hold };
        const found = this.directions[hold.direction];
        return { ...found, value: found.mean + found.sign * hold.amount * found.sd };
      })
      .filter((change) => change.quantity === quantity && change.layer === layer);
  }

  #logits(on, output) {
    return on.add(on.product(this.head, output), this.headBias);
  }

  // Takes from logits what is never written after the symbol `before`; returns them.
  writable(logits, before) {
    const { junctions, mayEnd } = this.description;
    logits[UNKNOWN] = -Infinity;
    if (!mayEnd) logits[END] = -Infinity;
    if (junctions.length) {
      const strict = junctions[before] >> 4;
      for (let id = 0; id < logits.length; id++) {
        if (strict + (junctions[id] & 15) > 2) logits[id] = -Infinity;
      }
    }
    return logits;
  }

  // How far each symbol moves the prediction after the last one: the norm of the gradient of the
  // likeliest next symbol's log-probability by the vector that the symbol entered with, as a share
  // of the sum of all. Of a character of several symbols it stands at the last one; the others
  // have 0.
  influence(ids, holds = []) {
    const slices = this.influenceInSlices(ids, () => holds);
    for (;;) {
      const { done, value } = slices.next();
      if (done) return value;
    }
  }

  // The same, with a pause after each symbol on the way there and on the way back.
  //
  // holdsAt: what is held while the symbol of a number is read. from: the state before the first
  // one; without it the mark of an end is read first.
  *influenceInSlices(ids, holdsAt = () => [], from = null) {
    const on = new Operations();
    on.tape = [];
    const ends = [], entered = [];
    let state = (from ?? this.start()).copy().layers.map(constants), output;
    for (let number = from ? 0 : -1; number < ids.length; number++) {
      const id = number < 0 ? END : ids[number];
      const x = { data: this.embedding.row(id), gradient: new Float32Array(this.embedding.width) };
      const holds = holdsAt(Math.max(number, 0));
      ({ layers: state, output } = this.#advance(on, state, { x }, holds));
      if (number >= 0) entered.push(x.gradient);
      ends.push(on.tape.length);
      yield;
    }
    const logits = this.#logits(on, output);
    const chances = softmax(logits.data);
    const target = likeliest(logits.data);
    chances.forEach((chance, id) => (logits.gradient[id] = (id === target ? 1 : 0) - chance));
    while (on.tape.length) {
      on.tape.pop()();
      if (on.tape.length === ends[ends.length - 1]) {
        ends.pop();
        yield;
      }
    }
    const shares = new Float32Array(ids.length);
    let squares = 0, total = 0;
    this.vocabulary.pieces(ids).forEach((piece, place) => {
      squares += dot(entered[place], entered[place]);
      if (piece === "" && place + 1 < ids.length) return;
      shares[place] = Math.sqrt(squares);
      total += shares[place];
      squares = 0;
    });
    return total ? shares.map((share) => share / total) : shares;
  }

  // The equations of the cell with the numbers of one unit at a step.
  //
  // before: the state before the step. step: what `step` returned.
  equations(layer, unit, before, { values, holds }) {
    const at = layer * this.hidden + unit;
    const own = (states) =>
      Object.fromEntries(Object.entries(states).map(([name, data]) => [name, data[at]]));
    return equationLines(this.description, {
      values: own(values),
      before: Object.fromEntries(
        Object.entries(before.layers[layer]).map(([name, data]) => [name, data[unit]]),
      ),
      below: layer > 0 ? values.cell?.[at - this.hidden] : 0,
      isHeld: (quantity) =>
        this.#changes(holds, quantity, layer).some(
          (change) => change.read || (change.unit ?? unit) === unit,
        ),
    });
  }
}

// The states of a layer, or the like, as vectors without a gradient.
function constants(layer) {
  return Object.fromEntries(
    Object.entries(layer).map(([name, data]) => [name, { data, gradient: null }]),
  );
}

function likeliest(logits) {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

function softmax(logits) {
  const top = logits[likeliest(logits)];
  const chances = Float64Array.from(logits, (logit) => Math.exp(logit - top));
  const sum = chances.reduce((a, b) => a + b, 0);
  return chances.map((chance) => chance / sum);
}

// Draws an id. Temperature 0 takes the likeliest; topP keeps the fewest symbols whose chances reach
// it; random gives numbers from 0 to 1.
function sample(logits, { temperature = 1, topP = 1, random = Math.random } = {}) {
  if (temperature === 0) return likeliest(logits);
  const top = logits[likeliest(logits)];
  const chances = softmax(logits.map((logit) => (logit - top) / temperature));
  const order = Array.from(chances.keys()).sort((a, b) => chances[b] - chances[a] || a - b);
  let kept = 0, sum = 0;
  while (kept < order.length && (kept === 0 || sum < topP)) sum += chances[order[kept++]];
  let left = random() * sum;
  for (const id of order.slice(0, kept)) {
    left -= chances[id];
    if (left < 0) return id;
  }
  return order[0];
}
