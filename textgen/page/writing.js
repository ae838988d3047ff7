// Texts that are read and written on: with what is held by hand, without it, by other models.

const LENGTH = 200; // characters that "Write on" writes
const LONGEST = 4000; // characters of a text in all
const PART = 300; // characters that are read before they are shown
const PACE = 45; // milliseconds a character, where somebody reads along

// A text that is written: what somebody gave, and what the model wrote on.
class Run {
  written = "";
  count = 0; // places that were written
  shownText = "";
  shownQuantity = "";

  constructor(reader, source) {
    Object.assign(this, { reader, source });
    reader.run = this;
  }

  get reading() {
    return this.reader.reading;
  }

  get quantity() {
    return (this.reading.like ?? this.reading).quantity;
  }

  // Whether what is shown is the text and the quantity that are wanted now.
  get isRead() {
    return this.shownText === textOf(this) && this.shownQuantity === this.quantity;
  }

  // How many places somebody gave.
  get given() {
    return this.reading.pieces.length - this.count;
  }

  forget() {
    this.written = "";
    this.count = 0;
  }
}

// The sources and a reader for each model, one more for the text without the hold.
const sources = page.models.map(openSource);
const mainSection = document.querySelector(".reading");
function anotherSection() {
  const section = mainSection.cloneNode(true);
  section.querySelector("#open").remove();
  for (const element of [section, ...section.querySelectorAll("[id]")]) element.removeAttribute("id");
  document.querySelector(".readings").append(section);
  return section;
}
const main = new Run(new Reader(mainSection, new LiveReading(sources[0])), sources[0]);
const free = new Run(
  new Reader(anotherSection(), new LiveReading(sources[0], main.reading)), sources[0],
);
const others = sources.slice(1).map((source, number) => {
  const reader = new Reader(anotherSection(), new LiveReading(source));
  reader.model = number + 1;
  return new Run(reader, source);
});
for (const run of [main, free, ...others]) readers.push(run.reader);
const runs = () => [main, ...(isFreeShown ? [free] : []), ...others];
const ofModel = (number) => (number ? others[number - 1] : main);

let isFreeShown = false;
let given = "";
let schedule = [{ from: 0, holds: [] }]; // which holds acted from which place on
let work = new AbortController();
let isWriting = false;
let goal = 0; // characters that are to be written in all
let isFollowing = true; // whether the panel shows the last character
let trouble = ""; // why the last work was not done

const textOf = (run) => given + (run === free ? free.written : main.written);

// What acts now: a label, and what is held by hand. The text without the hold has the label, too.
const labelHold = () => (find("voice").value === "" ? [] : [{ label: Number(find("voice").value) }]);
const acting = () => [...labelHold(), ...holding.now];
const isByHand = (hold) => hold.label === undefined;

// The holds of a text, each with the places where it acts. The labels are those of the first model.
function holdsOf(run) {
  if (others.includes(run)) return [];
  return schedule.flatMap(({ from, holds }, number) =>
    holds
      .filter((hold) => run === main || !isByHand(hold))
      .map((hold) => ({ ...hold, from, to: schedule[number + 1]?.from })),
  );
}

const settings = () => ({
  temperature: Number(find("temperature").value),
  topP: Number(find("top-p").value),
  seed: Number(find("seed").value) || 0,
});

// Ends the work under way and begins other work.
function begun() {
  work.abort();
  trouble = "";
  work = new AbortController();
  return work.signal;
}

// What is still to be computed or drawn; readers of the screen wait for it.
const pending = new Set();
function isPending(what, is) {
  if (is) pending.add(what);
  else pending.delete(what);
  document.querySelector(".readings").setAttribute("aria-busy", pending.size > 0);
}

// Runs work until other work begins; that it was given up is no mistake. What a person can mend is
// told.
async function until(signal, task) {
  isPending(task, true);
  try {
    await task();
  } catch (mistake) {
    if (signal.aborted) return;
    if (!mistake.isForPeople) throw mistake;
    trouble = mistake.message;
    advise();
  } finally {
    isPending(task, false);
  }
}

const rest = (time) => new Promise((resolve) => setTimeout(resolve, time));

// Reading.

// A long text is shown part by part: what is new of it comes at most `PART` characters at once.
async function readInto(run, signal) {
  const { quantity } = run;
  const text = textOf(run);
  let end = sameBeginning(text, run.shownText);
  do {
    end = Math.min(end + PART, text.length);
    const part = text.slice(0, end);
    const places = await run.source.read(part, { holds: holdsOf(run), quantity, signal });
    signal.throwIfAborted();
    run.reading.replace(places);
    run.count = places.length - pieceCount(places, given);
    [run.shownText, run.shownQuantity] = [part, quantity];
    drawSoon(run);
  } while (end < text.length);
}

function sameBeginning(text, other) {
  let length = 0;
  while (length < text.length && text[length] === other[length]) length++;
  return length;
}

// How many of the first places are those of a text's beginning.
function pieceCount(places, beginning) {
  let length = 0;
  let count = 0;
  while (count < places.length && length + places[count].piece.length <= beginning.length) {
    length += places[count++].piece.length;
  }
  return count;
}

async function readAll() {
  const signal = begun();
  await until(signal, async () => {
    for (const run of runs()) await readInto(run, signal);
    settleSoon();
  });
}

// Writing.

async function writeInto(run, signal) {
  const asked = settings();
  const pace = find("speed").value === "slow" ? PACE : 0;
  if (!run.isRead) await readInto(run, signal);
  const { quantity } = run;
  const length = Math.min(goal - run.count, LONGEST - run.reading.pieces.length);
  const places = run.source.write(textOf(run), {
    ...asked, quantity, length, signal, holds: holdsOf(run),
  });
  for await (const place of places) {
    signal.throwIfAborted();
    run.reading.append(place);
    run.written += place.piece;
    run.count++;
    run.shownText = textOf(run);
    drawSoon(run);
    if (pace) await rest(pace);
    signal.throwIfAborted();
  }
}

// Reads what is being written, until it has been written.
async function follow(run, signal, isDone) {
  while (!isDone() || !run.isRead) {
    if (!run.isRead) await readInto(run, signal);
    await rest(30);
    signal.throwIfAborted();
  }
}

// Writes until `goal` characters have been written.
async function writeOn() {
  const signal = begun();
  setWriting(true);
  await until(signal, async () => {
    let isDone = false;
    const own = runs().filter((run) => !others.includes(run));
    await Promise.all([
      Promise.all(own.map((run) => writeInto(run, signal))).then(() => (isDone = true)),
      ...others.map((run) => follow(run, signal, () => isDone)),
    ]);
    say(main.count < goal ? word("ended") : word("written", main.written));
  });
  if (!signal.aborted) finishWriting();
}

function finishWriting() {
  setWriting(false);
  if (!main.written) typed(); // what was typed meanwhile
  else if (!runs().every((run) => run.isRead)) readAll();
  settleSoon();
}

function setWriting(writing) {
  isWriting = writing;
  isFollowing = true;
  if (writing) forgetLooks();
  nameWrite();
  nameEquations();
  advise();
}

function nameWrite() {
  find("write").textContent = word(isWriting ? "stop" : "write on");
}

function stop() {
  begun();
  goal = main.count;
  finishWriting();
}

// From what stands in the box, with what is held now.
function startAnew() {
  given = find("given").value;
  isAtEnd = true;
  for (const run of [main, free]) run.forget();
  schedule = [{ from: 0, holds: acting() }];
  compare(holding.now.length > 0);
  advise();
}

// What is typed is read at once. Where something was written it waits for a button, since the
// text that was written would be lost.
const isWritten = () => isWriting || main.written !== "";
const isTypedWaiting = () => isWritten() && find("given").value !== given;
function typed() {
  if (isWritten()) return advise();
  startAnew();
  return readAll();
}

// The whole text as somebody's own, in the box.
function take() {
  if (isWriting) stop();
  find("given").value = textOf(main);
  startAnew();
  return readAll();
}

// What waits for the button is said beside it.
function advise() {
  const from = schedule.at(-1).from;
  const isHoldWaiting = !isWriting && from > 0 && from === main.reading.pieces.length;
  const waits = isTypedWaiting() ? "typed waits" : isHoldWaiting ? "hold waits" : "";
  const told = trouble ? word("no answer", trouble) : waits && word(waits);
  if (find("advice").textContent !== told) find("advice").textContent = told; // it is read aloud
}

// The holds or the label were changed. They act on a text that was only typed from its beginning, else from the
// end of what was written: it stays, and only what is being written goes on by itself.
function held() {
  const holds = acting();
  const from = main.written ? main.reading.pieces.length : 0;
  schedule = schedule.filter((each) => each.from < from);
  if (JSON.stringify(schedule.at(-1)?.holds) !== JSON.stringify(holds)) schedule.push({ from, holds });
  compare(schedule.some((each) => each.holds.some(isByHand)));
  advise();
  return isWriting ? writeOn() : readAll();
}

// Shows the text without the hold beside the other; it begins with what was written so far.
function compare(shown) {
  if (shown && !isFreeShown) {
    [free.written, free.count] = [main.written, main.count];
    free.reading.replace(main.reading.places);
    [free.shownText, free.shownQuantity] = [main.shownText, main.shownQuantity];
    free.reader.choose(main.reader.selected);
  }
  isFreeShown = shown;
  free.reader.section.hidden = !shown;
  if (!shown && pointed === free.reader) pointed = main.reader;
  nameRuns();
  if (shown) drawSoon(free);
}

// Drawing: at most once between two pictures of the screen.

const dirty = new Set();
function drawSoon(run) {
  if (!dirty.size) requestAnimationFrame(draw);
  dirty.add(run);
  isPending("draw", true);
}

function draw() {
  const drawn = [...dirty];
  dirty.clear();
  isPending("draw", false);
  for (const run of drawn) {
    const { reader, reading } = run;
    const follows = scrollsAlone() ? isAtEnd : isWriting && isEndInSight(reader);
    reader.draw(run.given);
    scale(run, reader.selected);
    reader.paint();
    reader.describe();
    if (follows && !scrollsAlone()) reader.view.spans.at(-1)?.scrollIntoView({ block: "nearest" });
  }
  if (scrollsAlone() && isAtEnd) sight.scrollTop = sight.scrollHeight;
  if (drawn.includes(main) && isFollowing && main.reading.pieces.length) {
    pointed = main.reader;
    main.reader.shown = main.reading.pieces.length - 1;
  }
  showPointed();
}

// The text with a hold and the one without have one scale.
const besideOf = (run) => (isFreeShown && run === main ? free.reading : null);
function scale(run, number) {
  const own = run === free ? main : run;
  own.reading.scale(number, besideOf(own));
}

// Where the texts scroll by themselves they stay at their end until somebody scrolls up.
const sight = document.querySelector(".readings");
const scrollsAlone = () => getComputedStyle(sight).overflowY === "auto";
let isAtEnd = true;
let lastTop = 0;
sight.addEventListener("scroll", () => {
  const left = sight.scrollHeight - sight.scrollTop - sight.clientHeight;
  if (left < 40) isAtEnd = true;
  else if (sight.scrollTop < lastTop) isAtEnd = false;
  lastTop = sight.scrollTop;
});

// Where the page scrolls, whoever has scrolled away from the end is not taken back to it.
function isEndInSight(reader) {
  const end = reader.view.spans.at(-1)?.getBoundingClientRect();
  return end && end.top < innerHeight + end.height;
}

// What takes longer is done when nothing has changed for a while.
let settling = 0;
function settleSoon() {
  clearTimeout(settling);
  settling = setTimeout(settle, 150);
  isPending("settle", true);
}

function settle() {
  const read = [main, ...others].filter((run) => run.reading.pieces.length);
  for (const run of read) run.reading.measure(besideOf(run));
  list.update();
  for (const run of read) if (!run.hasChosen) chooseFirst(run);
  for (const run of runs()) {
    run.reader.paint();
    run.reader.describe();
  }
  showPointed();
  lookSoon();
  isPending("settle", false);
}

// The first colours are those of the neuron that varies most. Two models are compared by what they
// remember of a text.
function chooseFirst(run) {
  run.hasChosen = true;
  if (others.length) choose(INFLUENCE);
  else if (run.reader.model === list.model) choose(run.reading.strongest);
  else run.reader.choose(run.reading.strongest);
}
