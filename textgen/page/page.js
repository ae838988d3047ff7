// What the mouse and the keys do.

let cursor = -1; // the place that the keys are at; it stays shown when the mouse has left
let shown = -1; // the place in the panel

function choose(row) {
  markSelected(row);
  paintText(row);
  const { name, quantity, measure, low, high, mean, sd, minimum, maximum, note } = rows[row];
  find("name").textContent = isNeuron(row) ? `${name} ${quantity}` : name;
  find("low").textContent = figure(low);
  find("high").textContent = `${figure(high)} ${measure}`.trim();
  const letter = low < 0 && high > 0 ? "d" : "q";
  find("bar").replaceChildren(
    ...Array.from({ length: page.colors }, (_, step) => make("i", letter + step)),
  );
  find("figures").textContent =
    `mean ${figure(mean)}, sd ${figure(sd)}, from ${figure(minimum)} to ${figure(maximum)}`;
  find("note").textContent = note;
  if (shown >= 0) showPlace(shown);
}

function chooseAndSay(row) {
  choose(row);
  find("status").textContent = `${find("name").textContent} colours the text`;
  document.body.classList.remove("picking");
}

function point(place) {
  shown = place;
  showPlace(place);
}

function setCursor(place) {
  if (cursor >= 0) spans[clusterOf[cursor]].removeAttribute("tabindex");
  cursor = place;
  spans[clusterOf[place]].tabIndex = 0;
}

function moveCursor(place) {
  setCursor(place);
  spans[clusterOf[place]].focus();
  point(place);
  sayPlace(place);
}

function stepNeuron(steps) {
  const at = shownRows.indexOf(selected) + steps;
  if (shownRows[at] !== undefined) chooseAndSay(shownRows[at]);
}

// The text.
const clusterAt = (event) => event.target.closest("#text > span")?.cluster;
text.addEventListener("pointerover", (event) => {
  const cluster = clusterAt(event);
  if (cluster !== undefined) point(firstPlace[cluster]);
});
text.addEventListener("pointerleave", () => {
  if (cursor >= 0 && text.contains(document.activeElement)) point(cursor);
});
text.addEventListener("click", (event) => {
  const cluster = clusterAt(event);
  // Whoever selects text with the mouse keeps the selection.
  if (cluster === undefined || !getSelection().isCollapsed) return;
  setCursor(firstPlace[cluster]);
  spans[cluster].focus({ preventScroll: true });
  point(cursor);
});
text.addEventListener("focusin", (event) => {
  const cluster = clusterAt(event);
  if (cluster === undefined) return;
  if (clusterOf[cursor] !== cluster) setCursor(firstPlace[cluster]);
  if (shown !== cursor) point(cursor);
  sayPlace(cursor);
});
text.addEventListener("keydown", (event) => {
  if (event.altKey || event.metaKey) return;
  const last = pieces.length - 1;
  const moves = {
    ArrowLeft: () => Math.max(cursor - 1, 0),
    ArrowRight: () => Math.min(cursor + 1, last),
    ArrowUp: () => verticalNeighbour(cursor, -1),
    ArrowDown: () => verticalNeighbour(cursor, 1),
    Home: () => (event.ctrlKey ? 0 : lineEnd(cursor, -1)),
    End: () => (event.ctrlKey ? last : lineEnd(cursor, 1)),
  };
  if (event.key === "Escape") list.focus();
  else if (moves[event.key] && !event.shiftKey) moveCursor(moves[event.key]());
  else return;
  event.preventDefault();
});

// The list.
const LIST_KEYS = {
  ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9,
};
list.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key in LIST_KEYS) moveActive(LIST_KEYS[event.key]);
  else if (event.key === "Enter" || event.key === " ") {
    if (active >= 0) chooseAndSay(active);
  } else return;
  event.preventDefault();
});
list.addEventListener("click", (event) => {
  const option = event.target.closest(".option");
  if (option) chooseAndSay(option.row);
});
search.addEventListener("input", arrange);
sort.addEventListener("change", arrange);
search.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "Enter") {
    if (event.key === "Enter" && active >= 0) chooseAndSay(active);
    list.focus();
  } else if (event.key === "Escape") {
    if (search.value) {
      search.value = "";
      arrange();
    } else list.focus();
    event.stopPropagation();
  } else return;
  event.preventDefault();
});
find("furthest").addEventListener("click", (event) => {
  if (event.target.row !== undefined) chooseAndSay(event.target.row);
});

// Everywhere.
function pick(open) {
  document.body.classList.toggle("picking", open);
  (open ? search : find("open")).focus();
}
find("open").addEventListener("click", () => pick(true));
find("close").addEventListener("click", () => pick(false));
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape" && document.body.classList.contains("picking")) return pick(false);
  if (event.target.matches("input, select")) return;
  if (event.key === "/") {
    document.body.classList.add("picking");
    search.select();
    search.focus();
  } else if (event.key === "n") stepNeuron(1);
  else if (event.key === "p") stepNeuron(-1);
  else return;
  event.preventDefault();
});

// Light and dark: the system's choice until the button says otherwise.
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
function showTheme() {
  find("theme").textContent = isDark() ? "Light" : "Dark";
  find("theme").setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colours`);
  repaintStrips();
}
find("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  showTheme();
});
systemDark.addEventListener("change", showTheme);

document.documentElement.classList.add("alive");
showTheme();
arrange();
choose(Math.max(rows.findIndex((_, row) => isNeuron(row)), 0));
setCursor(0);
options.forEach((option) => observer.observe(option));
