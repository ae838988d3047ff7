// Looking into a place: the equations of the neuron, and what moved the prediction.

const MOST_WORDS = 10; // that have a figure each; those before have one together

let looking = new AbortController();
let lookingTimer = 0;
function lookSoon() {
  clearTimeout(lookingTimer);
  lookingTimer = setTimeout(look, 60);
  isPending("look", true);
}

function look() {
  looking.abort();
  looking = new AbortController();
  const { signal } = looking;
  nameInside();
  if (pointed.shown >= 0 && !isWriting) {
    until(signal, () => showEquations(signal));
    for (const { reader } of runs()) {
      if (reader.selected === INFLUENCE) until(signal, () => showInfluence(reader, signal));
    }
  }
  for (const { reader } of runs()) showShares(reader);
  isPending("look", false);
}

// What was seen of a place that is no longer the last one.
function forgetLooks() {
  find("equations").replaceChildren();
  for (const { reading, reader } of runs()) {
    reading.influence = [];
    showShares(reader);
  }
}

// Why there is nothing where there will be something, or could be.
const whyBlank = (isUntold) => word(isWriting ? "after stop" : isUntold ? "not while held" : "computing");
function nameEquations() {
  find("no-equations").textContent = find("equations").childElementCount ? "" : whyBlank();
}
also.noteOf = ({ selected, reading }) =>
  selected === INFLUENCE && reading.pieces.length && !reading.influence.length ? whyBlank(reading.isUntold) : "";

async function showInfluence(reader, signal) {
  const { run, reading } = reader;
  const place = Math.min(pointed.shown, reading.pieces.length - 1);
  const shares = await run.source.influence(textOf(run), place, { holds: holdsOf(run), signal });
  signal.throwIfAborted();
  reading.isUntold = !shares;
  reading.influence = Array.from(shares ?? []);
  scale(run, INFLUENCE);
  reader.paint();
  reader.describe();
  showShares(reader);
  showPointed();
}

// The words of a text up to a place, each with the share of its characters; a space goes with the
// word before it.
function wordsWithShares(pieces, shares) {
  const words = [];
  shares.forEach((share, place) => {
    const piece = pieces[place];
    const isStart = /^\s/.test(piece) || /\s$/.test(pieces[place - 1] ?? " ");
    if (isStart && piece.trim()) words.push({ text: "", share: 0 });
    else if (!words.length) words.push({ text: "", share: 0 });
    words.at(-1).text += piece;
    words.at(-1).share += share;
  });
  return words;
}

// How many of the last shares are half of all.
function reachOf(shares) {
  let count = 0;
  for (let sum = 0; count < shares.length && sum < 0.5; count++) sum += shares.at(-1 - count);
  return count;
}

// Below a text that is coloured by influence: what each word had of it.
function showShares({ section, reading, selected }) {
  const element = section.querySelector(".shares");
  const { pieces, influence } = reading;
  element.hidden = selected !== INFLUENCE || !influence.length || influence.length > pieces.length;
  if (element.hidden) return;
  const words = wordsWithShares(pieces, influence);
  const early = words.splice(0, Math.max(words.length - MOST_WORDS, 0));
  const share = early.reduce((sum, each) => sum + each.share, 0);
  const items = words.map(({ text, share }) => [named(text.trim() || text), share]);
  if (early.length) items.unshift([`… ${word("before")}`, share]);
  element.firstChild.replaceChildren(...items.map(([text, share]) => {
    const item = make("li", CLASSES.q[Math.round(limited(share, 0, 1) * (page.colors - 1))]);
    item.append(make("span", "", text), make("strong", "", percent(share)));
    return item;
  }));
  const all = whole(influence.length);
  element.lastChild.textContent = word("half", whole(reachOf(influence)), all);
}

const inside = find("inside");
async function showEquations(signal) {
  const { run, row, shown } = pointed;
  inside.hidden = !isNeuron(row);
  if (inside.hidden || !inside.open) return;
  const { layer, unit } = row;
  const lines = await run.source.equations(textOf(run), shown, layer, unit, {
    holds: holdsOf(run), signal,
  });
  signal.throwIfAborted();
  find("equations").replaceChildren(...lines.map(equationLine));
  nameEquations();
}

function equationLine({ name, formula, numbers, value, isHeld, quantity }) {
  const line = make("div", quantity === pointed.row.quantity ? "chosen" : "");
  const left = make("dt", "");
  left.append(...setIn(`${name} = ${formula}`));
  const shown = value === null ? "" : `= ${value.toFixed(3)}`;
  const right = make("dd", "", (isHeld ? "" : numbers && `= ${numbers} `).replaceAll("-", "−"));
  right.append(make("strong", "", shown.replace("-", "−")));
  if (isHeld) right.append(` ${word("by hand")}`);
  line.append(left, right);
  return line;
}

// `c_{t-1}` with the index below the line, `c^b` with it above.
function setIn(formula) {
  return formula.split(/([_^](?:\{[^}]*\}|\p{L}))/u).map((part) => {
    if (!/^[_^]./.test(part)) return part;
    return make(part[0] === "_" ? "sub" : "sup", "", part.slice(1).replace(/^\{|\}$/g, "").replace("-", "−"));
  });
}

function nameInside() {
  const { row } = pointed;
  if (isNeuron(row)) find("inside-name").textContent = word("inside", row.name);
}

find("moved").hidden = !sources[0].canTellInfluence;
find("moved").addEventListener("click", () => chooseAndSay(INFLUENCE));
inside.addEventListener("toggle", lookSoon);
