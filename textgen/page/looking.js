// Looking into a place: the equations of the neuron, and what moved the prediction.

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
  isPending("look", false);
}

// What was seen of a place that is no longer the last one.
function forgetLooks() {
  find("equations").replaceChildren();
  for (const { reading } of runs()) reading.influence = [];
}

// Why there is nothing where there will be something.
const whyBlank = () => word(isWriting ? "after stop" : "computing");
function nameEquations() {
  find("no-equations").textContent = find("equations").childElementCount ? "" : whyBlank();
}
also.noteOf = ({ selected, reading }) =>
  selected === INFLUENCE && reading.pieces.length && !reading.influence.length ? whyBlank() : "";

async function showInfluence(reader, signal) {
  const { run, reading } = reader;
  const place = Math.min(pointed.shown, reading.pieces.length - 1);
  const shares = await run.source.influence(textOf(run), place, { holds: holdsOf(run), signal });
  signal.throwIfAborted();
  reading.influence = Array.from(shares);
  scale(run, INFLUENCE);
  reader.paint();
  reader.describe();
  showPointed();
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

find("moved").addEventListener("click", () => chooseAndSay(INFLUENCE));
inside.addEventListener("toggle", lookSoon);
