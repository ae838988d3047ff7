// What is known of one character: its values, its cost, what was likely to come after it.

const FURTHEST = 5;

const lines = (count, ...parts) =>
  Array.from({ length: count }, () => {
    const line = make("li", "");
    line.append(...parts.map(([tag, name]) => make(tag, name)));
    return line;
  });
const nextLines = lines(page.top, ["span", "symbol"], ["span", "track"], ["span", "percent"]);
for (const line of nextLines) line.children[1].append(make("i", "fill"));
find("next").append(...nextLines);
const farLines = lines(FURTHEST, ["button", "link"], ["span", "away"], ["span", "figure"]);
for (const line of farLines) line.children[0].type = "button";
find("furthest").append(...farLines);

const away = (reading, number, place) => {
  const { sd, mean } = reading.rows[number];
  return sd > 0 ? (reading.valueAt(number, place) - mean) / sd : 0;
};

function furthest(reading, place) {
  const best = [];
  reading.rows.forEach((row, number) => {
    if (!isNeuron(row)) return;
    const size = Math.abs(away(reading, number, place));
    if (best.length === FURTHEST && size <= best[FURTHEST - 1][0]) return;
    best.push([size, number]);
    best.sort((a, b) => b[0] - a[0]);
    best.length = Math.min(best.length, FURTHEST);
  });
  return best.map(([, number]) => number);
}

function showPlace({ reading, view, selected }, place) {
  const row = reading.rows[selected];
  const piece = reading.pieces[place];
  const value = reading.valueAt(selected, place);
  find("glyph").textContent = piece === " " ? "␣" : named(piece) || "∅";
  find("glyph").className = colorOf(row, value);
  find("glyph").classList.toggle("long", find("glyph").textContent.length > 3);
  find("where").textContent = word(`${reading.noun} of`, whole(place + 1), whole(reading.pieces.length));
  const codes = Array.from(piece, (char) =>
    "U+" + char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0"),
  );
  find("code").textContent = word("line", whole(view.lineOf[place]), codes.slice(0, 4).join(" "));
  find("unknown").hidden = !reading.isUnknown(place);
  find("unknown").textContent = word(`unknown ${reading.noun}`);
  find("value").textContent = `${figure(value)} (${signed(away(reading, selected, place))})`;
  find("value").parentElement.hidden = !isNeuron(row);
  find("cost").textContent = word("bits", reading.bits[place].toFixed(2));
  const next = reading.next(place);
  nextLines.forEach((line, rank) => {
    line.hidden = rank >= next.length;
    if (line.hidden) return;
    const [label, share] = next[rank];
    line.children[0].textContent = named(label);
    line.children[1].firstChild.style.width = `${100 * share}%`;
    line.children[2].textContent = percent(share);
    line.className = label === reading.pieces[place + 1] ? "came" : "";
    line.title = line.className ? word("came") : "";
  });
  const far = furthest(reading, place);
  find("furthest").parentElement.hidden = !far.length;
  farLines.forEach((line, rank) => {
    line.hidden = rank >= far.length;
    if (line.hidden) return;
    const [name, distance, amount] = line.children;
    name.textContent = reading.rows[far[rank]].name;
    name.setAttribute("aria-label", word("colour by", name.textContent));
    name.row = far[rank];
    distance.textContent = signed(away(reading, far[rank], place));
    amount.textContent = figure(reading.valueAt(far[rank], place));
  });
}

function describePlace({ reading, selected }, place) {
  const row = reading.rows[selected];
  const next = reading.next(place).map(([label, share]) => `${named(label)} ${percent(share)}`);
  const said = word(
    `say ${reading.noun}`,
    named(reading.pieces[place]),
    place + 1,
    `${nameOf(row)} ${figure(reading.valueAt(selected, place))}`,
    reading.bits[place].toFixed(2),
    next.join(", "),
  );
  return reading.isUnknown(place) ? `${said}; ${word(`unknown ${reading.noun}`)}` : said;
}
