// What the mouse and the keys do, and what a reader sees of a text.

// A text that is read by one model, and what stands around it.
class Reader {
  selected = 0; // the row that colours it
  cursor = 0; // the place that the keys are at; it stays shown when the mouse has left
  shown = -1; // the place in the panel
  model = 0; // the number of the model that reads it

  constructor(section, reading) {
    this.section = section;
    this.reading = reading;
    this.view = new TextView(section.querySelector(".text"));
    this.#listen();
  }

  get row() {
    return this.reading.rows[this.selected];
  }

  #part(name) {
    return this.section.querySelector(`.${name}`);
  }

  // The text as it is now.
  draw(given = 0) {
    this.view.show(this.reading.pieces, given, (place) => this.reading.isUnknown(place));
    const last = this.reading.pieces.length - 1;
    if (this.shown > last) this.shown = last;
    if (last >= 0) this.setCursor(limited(this.cursor, 0, last));
  }

  paint() {
    const { row, reading, selected } = this;
    this.view.paint((place) => colorOf(row, reading.valueAt(selected, place)));
  }

  choose(number) {
    this.selected = number;
    this.paint();
    this.describe();
  }

  // The row's name and scale above the text.
  describe() {
    const { low, high, measure, mean, sd, minimum, maximum, note } = this.row;
    this.#part("name").textContent = titleOf(this.row);
    this.#part("low").textContent = figure(low);
    this.#part("high").textContent = `${figure(high)} ${measure}`.trim();
    const letter = paletteOf(this.row);
    const bar = this.#part("colors");
    if (bar.firstChild?.className !== CLASSES[letter][0]) {
      bar.replaceChildren(...CLASSES[letter].map((name) => make("i", name)));
    }
    this.#part("figures").textContent =
      word("figures", figure(mean), figure(sd), figure(minimum), figure(maximum));
    this.#part("note").textContent = note || also.noteOf(this);
    const unknown = this.view.element.querySelectorAll(".unknown");
    for (const span of unknown) span.title = word(`unknown ${this.reading.noun}`);
    this.view.element.setAttribute("aria-label", word("the text"));
    this.mark();
  }

  // Where the value of the place shown lies on the scale.
  mark() {
    const marker = this.#part("marker");
    marker.hidden = this.shown < 0;
    if (marker.hidden) return;
    const value = this.reading.valueAt(this.selected, this.shown);
    marker.style.left = `${100 * onScale(this.row, value)}%`;
  }

  setCursor(place) {
    if (this.view.spanAt(this.cursor)) this.view.spanAt(this.cursor).removeAttribute("tabindex");
    this.cursor = place;
    this.view.spanAt(place).tabIndex = 0;
  }

  moveCursor(place) {
    this.setCursor(place);
    this.view.spanAt(place).focus();
    point(this, place);
    say(describePlace(this, place));
  }

  #listen() {
    const { view } = this;
    const text = view.element;
    const clusterAt = (event) => event.target.closest(".text > span")?.cluster;
    text.addEventListener("pointerover", (event) => {
      const cluster = clusterAt(event);
      if (cluster !== undefined) point(this, view.firstPlace[cluster]);
    });
    text.addEventListener("pointerleave", () => {
      if (text.contains(document.activeElement)) point(this, this.cursor);
    });
    text.addEventListener("click", (event) => {
      const cluster = clusterAt(event);
      // Whoever selects text with the mouse keeps the selection.
      if (cluster === undefined || !getSelection().isCollapsed) return;
      this.setCursor(view.firstPlace[cluster]);
      view.spans[cluster].focus({ preventScroll: true });
      point(this, this.cursor);
    });
    text.addEventListener("focusin", (event) => {
      const cluster = clusterAt(event);
      if (cluster === undefined) return;
      if (view.clusterOf[this.cursor] !== cluster) this.setCursor(view.firstPlace[cluster]);
      if (pointed !== this || this.shown !== this.cursor) point(this, this.cursor);
      say(describePlace(this, this.cursor));
    });
    text.addEventListener("keydown", (event) => {
      if (event.altKey || event.metaKey) return;
      const last = this.reading.pieces.length - 1;
      const moves = {
        ArrowLeft: () => Math.max(this.cursor - 1, 0),
        ArrowRight: () => Math.min(this.cursor + 1, last),
        ArrowUp: () => view.verticalNeighbour(this.cursor, -1),
        ArrowDown: () => view.verticalNeighbour(this.cursor, 1),
        Home: () => (event.ctrlKey ? 0 : view.lineEnd(this.cursor, -1)),
        End: () => (event.ctrlKey ? last : view.lineEnd(this.cursor, 1)),
      };
      if (event.key === "Escape") list.element.focus();
      else if (moves[event.key] && !event.shiftKey) this.moveCursor(moves[event.key]());
      else return;
      event.preventDefault();
    });
  }
}

const titleOf = (row) => (isNeuron(row) ? `${row.name} ${quantityOf(row)}` : nameOf(row));
const say = (text) => (find("status").textContent = text);

const list = new NeuronList();
const readers = [];
let pointed = null; // the reader whose place the panel shows
// What a page does besides when something is chosen or pointed at.
const also = { chosen() {}, listed() {}, pointed() {}, relabelled() {}, noteOf: () => "" };

function choose(number) {
  list.markSelected(number);
  for (const reader of readers) {
    // What is no neuron can be seen in every model.
    if (reader.model === list.model || !isNeuron(list.reading.rows[number])) reader.choose(number);
  }
  also.chosen(number);
  showPointed();
}

function chooseAndSay(number) {
  choose(number);
  say(word("colours the text", titleOf(list.reading.rows[number])));
  document.body.classList.remove("picking");
}

function point(reader, place) {
  pointed = reader;
  reader.shown = place;
  showPointed();
  also.pointed(reader, place);
}

function showPointed() {
  find("hint").hidden = pointed.shown >= 0;
  find("details").hidden = pointed.shown < 0;
  if (pointed.shown < 0) return;
  showPlace(pointed, pointed.shown);
  pointed.mark();
  for (const reader of readers) reader.view.mark(reader === pointed ? reader.shown : -1);
}

function stepNeuron(steps) {
  const next = list.neighbour(steps);
  if (next !== undefined) chooseAndSay(next);
}

// The list.
const LIST_KEYS = {
  ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9,
};
list.element.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in LIST_KEYS) list.moveActive(LIST_KEYS[event.key]);
  else if (event.key === "Enter" || event.key === " ") {
    if (list.active >= 0) chooseAndSay(list.active);
  } else return;
  event.preventDefault();
});
list.element.addEventListener("click", (event) => {
  const option = event.target.closest(".option");
  if (option) chooseAndSay(option.row);
});
list.search.addEventListener("input", () => list.arrange());
list.sort.addEventListener("change", () => list.arrange());
list.search.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") {
    if (event.key === "Enter" && list.active >= 0) chooseAndSay(list.active);
    list.element.focus();
  } else if (event.key === "Escape") {
    if (list.search.value) {
      list.search.value = "";
      list.arrange();
    } else list.element.focus();
    event.stopPropagation();
  } else return;
  event.preventDefault();
});
find("furthest").addEventListener("click", (event) => {
  if (event.target.row === undefined) return;
  if (pointed.model !== list.model) also.listed(pointed.model);
  chooseAndSay(event.target.row);
});

// Everywhere.
function pick(open) {
  document.body.classList.toggle("picking", open);
  (open ? list.search : find("open")).focus();
}
find("open").addEventListener("click", () => pick(true));
find("close").addEventListener("click", () => pick(false));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape" && document.body.classList.contains("picking")) return pick(false);
  if (event.target.matches("input, select, textarea")) return;
  if (event.key === "/") {
    document.body.classList.add("picking");
    list.search.select();
    list.search.focus();
  } else if (event.key === "n") stepNeuron(1);
  else if (event.key === "p") stepNeuron(-1);
  else return;
  event.preventDefault();
});

// Light and dark: the system's choice until the button says otherwise.
const root = document.documentElement;
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (root.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
function nameTheme() {
  find("theme").textContent = word(isDark() ? "light" : "dark");
  find("theme").setAttribute("aria-label", word(isDark() ? "to light" : "to dark"));
}
function showTheme() {
  nameTheme();
  list.readColors();
  list.repaint();
}
find("theme").addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
systemDark.addEventListener("change", showTheme);

// Large letters, for the last row of a classroom.
find("large").addEventListener("click", () => {
  find("large").setAttribute("aria-pressed", root.classList.toggle("large"));
});

// The language: the browser's until another is chosen.
function relabel() {
  labelAll();
  nameTheme();
  list.arrange();
  for (const reader of readers) reader.describe();
  showPointed();
  also.relabelled();
}
find("language").addEventListener("change", () => {
  speak(find("language").value);
  relabel();
});

// Show the page, coloured by a row.
function begin(reader, number) {
  pointed = reader;
  find("language").append(...LANGUAGES.map(([code, name]) => new Option(name, code)));
  find("language").value = language;
  root.classList.add("alive");
  showTheme();
  choose(number);
  relabel();
}
labelAll();
list.readColors();
