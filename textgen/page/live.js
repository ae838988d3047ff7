// A live page: what its controls do, and what it shows first.

// What the model writes by itself when the page is opened.
const OPENING = { length: 60, least: 20, temperature: 0.5, topP: 0.9, seed: 7 };

// Many changes of a slider between two pictures of the screen are one.
let isHeldSoon = false;
const holding = new HoldPanel(find("holds"), sources[0], () => {
  if (isHeldSoon) return;
  isHeldSoon = true;
  isPending("held", true);
  requestAnimationFrame(() => {
    isHeldSoon = false;
    held();
    isPending("held", false);
  });
});

function takeUnit() {
  if (isNeuron(main.reader.row)) holding.takeUnit(main.reader.row);
}

// Names, in the language that was chosen.

function nameRuns() {
  const call = ({ reader: { section } }, name) => {
    section.querySelector(".which").textContent = name;
    section.setAttribute("aria-label", [word("reading"), name].filter(Boolean).join(": "));
  };
  const model = (number) => (sources.length > 1 ? sources[number].name : "");
  const held = isFreeShown ? word(holding.now.length ? "with hold" : "let go") : "";
  call(main, [model(0), held].filter(Boolean).join(": "));
  call(free, word("without hold"));
  others.forEach((run, number) => call(run, model(number + 1)));
}

function nameQuantities() {
  for (const option of find("quantity").options) {
    option.textContent = word(`quantity ${option.value}`);
  }
  const { value } = find("quantity");
  find("meaning").textContent = word(`about ${value.endsWith("-gate") ? "gate" : value}`);
}

also.relabelled = () => {
  for (const name of [nameRuns, nameWrite, nameInside, nameQuantities, nameEquations, advise]) name();
  holding.relabel();
  lookSoon();
};

// Choosing and pointing.

// The list shows the neurons of this model.
function listModel(number) {
  const { source, reading, reader } = ofModel(number);
  list.model = number;
  find("model").value = number;
  find("quantity").replaceChildren(...source.quantities.map((name) => new Option(name, name)));
  find("quantity").value = reading.quantity;
  nameQuantities();
  list.selected = reader.selected;
  list.show(reading);
}
also.listed = listModel;

also.chosen = (number) => {
  if (list.reading.pieces.length) ofModel(list.model).hasChosen = true;
  if (isNeuron(list.reading.rows[number])) {
    // Beside a neuron of one model stands a neuron of the other.
    for (const { reader, reading } of [main, ...others]) {
      if (!isNeuron(reader.row)) reader.choose(reading.strongest);
    }
  }
  takeUnit();
  lookSoon();
};

also.pointed = (reader) => {
  isFollowing = reader === main.reader && reader.shown === main.reading.pieces.length - 1;
  lookSoon();
};

find("model").append(...sources.map(({ name }, number) => new Option(name, number)));
find("model").parentElement.hidden = sources.length === 1;
find("model").addEventListener("change", () => listModel(Number(find("model").value)));
find("quantity").addEventListener("change", () => {
  const quantity = find("quantity").value;
  for (const { source, reading } of [main, ...others]) {
    if (source.quantities.includes(quantity)) reading.setQuantity(quantity);
  }
  nameQuantities();
  const { reader, reading } = ofModel(list.model);
  list.show(reading);
  if (!isNeuron(reader.row)) choose(reading.strongest);
  if (isWriting) writeOn();
  else readAll();
  takeUnit();
});

// Typing and writing.

const { voices } = sources[0];
find("voice").append(...voices.map((name, number) => new Option(name, number)));
find("voice").parentElement.hidden = !voices.length;
find("voice").addEventListener("change", held);

find("given").addEventListener("input", typed);
find("write").addEventListener("click", () => {
  if (isWriting) return stop();
  if (isTypedWaiting()) startAnew();
  isAtEnd = true;
  goal = main.count + LENGTH;
  if (!scrollsAlone()) find("legend").scrollIntoView({ block: "nearest" });
  writeOn();
});
find("again").addEventListener("click", () => {
  find("seed").value = 1 + Math.floor(Math.random() * 9999);
  goal = LENGTH;
  startAnew();
  writeOn();
});
find("take").addEventListener("click", () => {
  take();
  find("given").focus();
});
for (const id of ["temperature", "top-p"]) {
  const show = () => (find(`${id}-value`).value = Number(find(id).value).toFixed(2));
  find(id).addEventListener("input", show);
  show();
}

// A few whole words, unless somebody was faster.
async function open() {
  const { signal } = new AbortController(); // a hold that is set meanwhile does not end it
  const isLate = () => find("given").value || isWritten();
  await until(signal, async () => {
    let text = "";
    const [{ primer }] = sources;
    const { quantity } = main.reading;
    for await (const { piece } of sources[0].write(primer, { ...OPENING, quantity, signal })) {
      if (isLate()) break;
      text += piece;
    }
    if (isLate()) return;
    const end = Math.max(text.trimEnd().lastIndexOf(" "), text.trimEnd().lastIndexOf("\n"));
    find("given").value = (end > OPENING.least ? text.slice(0, end) : text).trim();
    await typed();
  });
}

if (others.length) find("lead").dataset.word = "lead two";
else if (!sources[0].quantities.includes("forget-gate")) find("lead").dataset.word = "lead neuron";
inside.open = innerWidth > 1100;
listModel(0);
begin(main.reader, SURPRISE);
compare(false);
requestAnimationFrame(() => setTimeout(open));
