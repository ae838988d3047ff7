// What a source has said of a text, as rows of values that can colour it.

const ROBUST = 0.99; // share of the values that a scale covers, as in textgen/heat.py
const SURPRISE = 0;
const INFLUENCE = 1;
const FIRST_UNIT = 2; // the number of the first row that is a neuron

// The value below which this share of the sizes lies, between two of them where it falls so.
function quantile(values, share) {
  const sizes = Float64Array.from(values, Math.abs).sort();
  const at = (sizes.length - 1) * share;
  const low = sizes[Math.floor(at)] ?? 0;
  return low + ((sizes[Math.ceil(at)] ?? 0) - low) * (at % 1);
}

// The ends of a row's colours, as textgen/heat.py chooses them.
function limitsOf(values, quantity) {
  if (quantity.endsWith("-gate")) return [0, 1];
  if (quantity === "candidate") return [-1, 1];
  const high = quantile(values, ROBUST) || 1;
  return [quantity === "surprise" || quantity === "influence" ? 0 : -high, high];
}

// What a neuron does, as `textgen inspect neurons` has found it; "" where it is not known.
function noteOn(notes, name) {
  const [feature, correlation] = notes?.followed[name] ?? [];
  if (!feature) return "";
  const amount = Math.abs(correlation).toFixed(2);
  const quantity = word(`quantity ${notes.quantity}`);
  return word(correlation < 0 ? "is low" : "is high", quantity, word(`feature ${feature}`), amount);
}

// What a source has said of a text so far.
class LiveReading {
  places = [];
  pieces = [];
  bits = [];
  influence = []; // of each place on the prediction at another

  // like: the reading whose rows, and so whose scales, this one shares.
  constructor(source, like = null) {
    this.source = source;
    this.noun = source.noun;
    this.neurons = source.layers * source.hidden;
    this.like = like;
    if (!like) this.setQuantity(source.quantities[0]);
  }

  get rows() {
    return this.like ? this.like.rows : this.own;
  }

  setQuantity(quantity) {
    const row = (name, layer, unit, shown, measure = "") => ({
      ...{ name, title: name, layer, unit, quantity: shown, measure },
      ...{ mean: 0, sd: 0, minimum: 0, maximum: 0, spread: 0, low: shown === "cell" ? -1 : 0, high: 1 },
      get note() {
        return noteOn(notes, name);
      },
    });
    const { notes } = this.source;
    this.quantity = quantity;
    this.own = [row("surprise", null, null, "surprise", "bits"), row("influence", null, null, "influence")];
    this.own[INFLUENCE].isHidden = !this.source.canTellInfluence;
    for (let k = 0; k < this.neurons; k++) {
      const layer = Math.floor(k / this.source.hidden);
      const unit = k % this.source.hidden;
      this.own.push(row(`${layer}:${unit}`, layer, unit, quantity));
    }
  }

  replace(places) {
    this.places = places.slice();
    this.pieces = places.map(({ piece }) => piece);
    this.bits = places.map(({ bits }) => bits);
  }

  append(place) {
    this.places.push(place);
    this.pieces.push(place.piece);
    this.bits.push(place.bits);
  }

  valueAt(number, place) {
    if (number === SURPRISE) return this.bits[place];
    if (number === INFLUENCE) return this.influence[place] ?? 0;
    return this.places[place].values[number - FIRST_UNIT];
  }

  next(place) {
    return this.places[place].next;
  }

  isUnknown(place) {
    return this.places[place].isUnknown;
  }

  column(number) {
    return Float32Array.from(this.pieces, (_, place) => this.valueAt(number, place));
  }

  // The figures of a row and the ends of its colours, which are those of `beside`, too.
  scale(number, beside = null) {
    const values = this.column(number);
    if (!values.length) return;
    const row = this.rows[number];
    let sum = 0, squares = 0, bent = 0, bentSquares = 0;
    row.minimum = Infinity;
    row.maximum = -Infinity;
    for (const value of values) {
      sum += value;
      squares += value * value;
      const seen = row.quantity === "cell" ? Math.tanh(value) : value; // as the output sees it
      bent += seen;
      bentSquares += seen * seen;
      row.minimum = Math.min(row.minimum, value);
      row.maximum = Math.max(row.maximum, value);
    }
    const spreadOf = (total, ofSquares) =>
      Math.sqrt(Math.max(ofSquares / values.length - (total / values.length) ** 2, 0));
    row.mean = sum / values.length;
    row.sd = spreadOf(sum, squares);
    row.spread = spreadOf(bent, bentSquares);
    const all = beside ? [...values, ...beside.column(number)] : values;
    [row.low, row.high] = limitsOf(all, row.quantity);
  }

  measure(beside) {
    this.rows.forEach((_, number) => this.scale(number, beside));
  }

  // The number of the neuron that varies most.
  get strongest() {
    const units = this.rows.slice(FIRST_UNIT);
    const most = units.reduce((best, row) => (row.spread > best.spread ? row : best));
    return FIRST_UNIT + units.indexOf(most);
  }
}
