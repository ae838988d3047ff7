// The list of neurons: search, order, and a strip that shows each over the whole text.

const STRIP = 96;

const ORDERS = {
  spread: (a, b) => b.spread - a.spread,
  "-spread": (a, b) => a.spread - b.spread,
  mean: (a, b) => b.mean - a.mean,
  "-mean": (a, b) => a.mean - b.mean,
  name: (a, b) => a.layer - b.layer || a.unit - b.unit,
};

// A row as it is called: a neuron by layer and unit, anything else by a word.
const nameOf = (row) => (isNeuron(row) ? row.name : word(row.name));
const quantityOf = (row) =>
  isNeuron(row) ? wordIfAny(`quantity ${row.quantity}`, row.quantity) : word(`about ${row.name}`);

class NeuronList {
  shownRows = []; // those that the search left, in order
  active = 0; // the row that the keys are at
  selected = -1; // the row that colours the text
  model = 0; // the number of the model whose neurons they are
  #options = [];
  #colors = {}; // the channels of each class, as the theme has them
  #inSight = new Set();
  #painted = new Set();
  #observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) this.#inSight.delete(target.row);
      else {
        this.#inSight.add(target.row);
        this.#paintStrip(target.row);
      }
    }
  });

  constructor() {
    this.element = find("list");
    this.search = find("search");
    this.sort = find("sort");
  }

  // The rows of a reading, in place of those that stand there.
  show(reading) {
    this.reading = reading;
    this.#observer.disconnect();
    this.#inSight.clear();
    this.#painted.clear();
    this.#options = reading.rows.map((row, number) => {
      const option = make("div", "option");
      option.id = `row-${number}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      const strip = document.createElement("canvas");
      strip.width = STRIP;
      strip.height = 1;
      strip.setAttribute("aria-hidden", "true");
      option.append(make("span", "name"), strip, make("span", "figure"));
      if (row.note) option.append(make("span", "remark"));
      option.row = number;
      return option;
    });
    this.arrange();
    if (this.selected >= 0) this.markSelected(Math.min(this.selected, reading.rows.length - 1));
    for (const option of this.#options) this.#observer.observe(option);
  }

  // Search and sort anew; also where the values or the language have changed.
  arrange() {
    const { rows, neurons } = this.reading;
    const wanted = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    // What is named in full comes first; what is no neuron stands above all neurons.
    const rank = (row) => (wanted.includes(nameOf(row).toLowerCase()) ? 0 : isNeuron(row) ? 2 : 1);
    const fits = (row) => {
      if (row.isHidden) return false;
      const words = [nameOf(row), row.title, quantityOf(row), row.note].join(" ").toLowerCase();
      return wanted.every((each) =>
        /^\d+:\d*$/.test(each) ? row.name.startsWith(each) : words.includes(each),
      );
    };
    const order = ORDERS[this.sort.value];
    const numbers = new Map(rows.map((row, number) => [row, number]));
    this.shownRows = rows
      .filter(fits)
      .sort((a, b) => rank(a) - rank(b) || order(a, b) || ORDERS.name(a, b))
      .map((row) => numbers.get(row));
    const byMean = this.sort.value.endsWith("mean");
    for (const number of this.shownRows) {
      const row = rows[number];
      const [name, , amount, remark] = this.#options[number].children;
      name.textContent = nameOf(row);
      if (remark) remark.textContent = row.note;
      amount.textContent = byMean ? figure(row.mean) : `±${figure(row.spread)}`;
    }
    this.element.replaceChildren(...this.shownRows.map((number) => this.#options[number]));
    if (!this.shownRows.length) this.element.append(make("p", "hint", word("nothing found")));
    const count = this.shownRows.filter((number) => isNeuron(rows[number])).length;
    const told = count === neurons ? whole(count) : word("of", whole(count), whole(neurons));
    if (find("count").textContent !== told) find("count").textContent = told; // it is read aloud
    if (!this.shownRows.includes(this.active)) this.active = this.shownRows[0] ?? -1;
    this.markActive(false);
  }

  markActive(scroll = true) {
    this.element.querySelector(".active")?.classList.remove("active");
    if (this.active < 0) return this.element.removeAttribute("aria-activedescendant");
    const option = this.#options[this.active];
    option.classList.add("active");
    this.element.setAttribute("aria-activedescendant", option.id);
    if (scroll) option.scrollIntoView({ block: "nearest" });
  }

  moveActive(steps) {
    if (!this.shownRows.length) return;
    const at = Math.max(this.shownRows.indexOf(this.active), 0) + steps;
    this.active = this.shownRows[limited(at, 0, this.shownRows.length - 1)];
    this.markActive();
  }

  markSelected(row) {
    this.#options[this.selected]?.setAttribute("aria-selected", "false");
    this.selected = this.active = row;
    this.#options[row].setAttribute("aria-selected", "true");
    this.markActive();
  }

  neighbour(steps) {
    return this.shownRows[this.shownRows.indexOf(this.selected) + steps];
  }

  // A strip's colours are the means of the text's stretches, drawn when they come into sight.
  #paintStrip(number) {
    const { reading } = this;
    const count = reading.pieces.length;
    if (this.#painted.has(number) || !count) return;
    this.#painted.add(number);
    const row = reading.rows[number];
    const strip = this.#options[number].children[1];
    const columns = Math.min(STRIP, count);
    strip.width = columns;
    const context = strip.getContext("2d");
    const image = context.createImageData(columns, 1);
    for (let column = 0; column < columns; column++) {
      const start = Math.floor((column * count) / columns);
      const stop = Math.floor(((column + 1) * count) / columns);
      let sum = 0;
      for (let place = start; place < stop; place++) sum += reading.valueAt(number, place);
      image.data.set(this.#colors[colorOf(row, sum / (stop - start))], 4 * column);
      image.data[4 * column + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  // Where the values have changed: the order is another, and what was in sight of it stays there.
  update() {
    const option = this.#options[this.selected];
    const wasInSight = this.#outOfSight(option) === 0;
    this.arrange();
    if (wasInSight) this.element.scrollTop += this.#outOfSight(option);
    this.repaint();
  }

  // How far the list must scroll to show an option; not a number where it is not listed.
  #outOfSight(option) {
    if (!option?.isConnected) return NaN;
    const box = option.getBoundingClientRect();
    const sight = this.element.getBoundingClientRect();
    return Math.min(box.top - sight.top, 0) || Math.max(box.bottom - sight.bottom, 0);
  }

  repaint() {
    this.#painted.clear();
    for (const number of this.#inSight) this.#paintStrip(number);
  }

  // Where the theme has changed.
  readColors() {
    const probe = document.body.appendChild(make("i", ""));
    for (const name of Object.values(CLASSES).flat()) {
      probe.className = name;
      const channels = getComputedStyle(probe).backgroundColor.match(/[\d.]+/g);
      this.#colors[name] = channels.slice(0, 3).map(Number);
    }
    probe.remove();
  }
}
