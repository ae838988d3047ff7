// The list of neurons: search, order, and a strip that shows each over the whole text.

const list = find("list");
const search = find("search");
const sort = find("sort");
const STRIP = 96;

const words = rows.map((row) =>
  `${row.name} ${row.title} ${row.quantity} ${row.note}`.toLowerCase(),
);
const options = rows.map((row, number) => {
  const option = make("div", "option");
  option.id = `row-${number}`;
  option.setAttribute("role", "option");
  option.setAttribute("aria-selected", "false");
  const strip = document.createElement("canvas");
  strip.width = STRIP;
  strip.height = 1;
  strip.setAttribute("aria-hidden", "true");
  option.append(make("span", "name", row.name), strip, make("span", "figure"));
  if (row.note) option.append(make("span", "remark", row.note));
  option.row = number;
  option.strip = strip;
  return option;
});

let shownRows = []; // those that the search left, in order
let active = 0; // the row that the keys are at
let selected = -1; // the row that colours the text

const byName = (a, b) => rows[a].layer - rows[b].layer || rows[a].unit - rows[b].unit;
const ORDERS = {
  spread: (a, b) => rows[b].spread - rows[a].spread,
  "-spread": (a, b) => rows[a].spread - rows[b].spread,
  mean: (a, b) => rows[b].mean - rows[a].mean,
  "-mean": (a, b) => rows[a].mean - rows[b].mean,
  name: byName,
};

function arrange() {
  const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const order = ORDERS[sort.value];
  // What is named in full comes first; what is no neuron stands above all neurons.
  const rank = (row) => (wanted.includes(rows[row].name.toLowerCase()) ? 0 : isNeuron(row) ? 2 : 1);
  const fits = (row) =>
    wanted.every((word) =>
      /^\d+:\d*$/.test(word) ? rows[row].name.startsWith(word) : words[row].includes(word),
    );
  shownRows = rows
    .map((_, row) => row)
    .filter(fits)
    .sort((a, b) => rank(a) - rank(b) || order(a, b) || byName(a, b));
  const byMean = sort.value.endsWith("mean");
  for (const row of shownRows) {
    const { mean, spread } = rows[row];
    options[row].children[2].textContent = byMean ? figure(mean) : `±${figure(spread)}`;
  }
  list.replaceChildren(...shownRows.map((row) => options[row]));
  if (!shownRows.length) list.append(make("p", "hint", "Nothing of that name."));
  const count = shownRows.filter(isNeuron).length;
  find("count").textContent =
    count === page.neurons ? whole(count) : `${whole(count)} of ${whole(page.neurons)}`;
  if (!shownRows.includes(active)) active = shownRows[0] ?? -1;
  markActive(false);
}

function markActive(scroll = true) {
  list.querySelector(".active")?.classList.remove("active");
  if (active < 0) return list.removeAttribute("aria-activedescendant");
  options[active].classList.add("active");
  list.setAttribute("aria-activedescendant", options[active].id);
  if (scroll) options[active].scrollIntoView({ block: "nearest" });
}

function moveActive(steps) {
  if (!shownRows.length) return;
  const at = Math.max(shownRows.indexOf(active), 0) + steps;
  active = shownRows[Math.min(Math.max(at, 0), shownRows.length - 1)];
  markActive();
}

function markSelected(row) {
  if (selected >= 0) options[selected].setAttribute("aria-selected", "false");
  selected = active = row;
  options[row].setAttribute("aria-selected", "true");
  markActive();
}

// A strip's colours are the means of the text's stretches, drawn when they come into sight.
const colorNumbers = {};
function readColors() {
  const probe = document.body.appendChild(make("i", ""));
  for (const letter of "dq") {
    for (let step = 0; step < page.colors; step++) {
      probe.className = letter + step;
      const channels = getComputedStyle(probe).backgroundColor.match(/[\d.]+/g);
      colorNumbers[letter + step] = channels.slice(0, 3).map(Number);
    }
  }
  probe.remove();
}

function paintStrip(row) {
  const count = pieces.length;
  const columns = Math.min(STRIP, count);
  options[row].strip.width = columns;
  const context = options[row].strip.getContext("2d");
  const image = context.createImageData(columns, 1);
  const colors = colorsOf(row);
  for (let column = 0; column < columns; column++) {
    const start = Math.floor((column * count) / columns);
    const stop = Math.floor(((column + 1) * count) / columns);
    let sum = 0;
    for (let place = start; place < stop; place++) sum += stored(row, place);
    image.data.set(colorNumbers[colors[Math.round(sum / (stop - start))]], 4 * column);
    image.data[4 * column + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

const inSight = new Set();
const painted = new Set();
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) inSight.delete(target.row);
    else {
      inSight.add(target.row);
      if (!painted.has(target.row)) paintStrip(target.row);
      painted.add(target.row);
    }
  }
});

function repaintStrips() {
  readColors();
  painted.clear();
  for (const row of inSight) {
    paintStrip(row);
    painted.add(row);
  }
}
