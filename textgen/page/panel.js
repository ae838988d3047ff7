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
const farLines = lines(Math.min(FURTHEST, page.neurons), ["button", "link"], ["span", "away"], ["span", "figure"]);
for (const line of farLines) line.children[0].type = "button";
find("furthest").append(...farLines);
find("furthest").parentElement.hidden = !farLines.length;

const percent = (share) =>
  share >= 0.995 ? "100 %" : share >= 0.0995 ? `${Math.round(share * 100)} %` : `${(share * 100).toFixed(1)} %`;
const away = (row, place) =>
  rows[row].sd > 0 ? (valueAt(row, place) - rows[row].mean) / rows[row].sd : 0;
const signed = (number) => `${number < 0 ? "−" : "+"}${Math.abs(number).toFixed(1)} sd`;

function furthest(place) {
  const best = [];
  for (let row = 0; row < rows.length; row++) {
    if (!isNeuron(row)) continue;
    const size = Math.abs(away(row, place));
    if (best.length === FURTHEST && size <= best[FURTHEST - 1][0]) continue;
    best.push([size, row]);
    best.sort((a, b) => b[0] - a[0]);
    best.length = Math.min(best.length, FURTHEST);
  }
  return best.map(([, row]) => row);
}

function probability(place, rank) {
  return nextProbabilities[place * page.top + rank] / page.probabilityOne;
}
const labelOf = (place, rank) => labels[nextLabels[place * page.top + rank]];

function showPlace(place) {
  const row = rows[selected];
  const piece = pieces[place];
  const value = valueAt(selected, place);
  find("hint").hidden = true;
  find("details").hidden = false;
  find("glyph").textContent = named(piece) === "space" ? "␣" : named(piece) || "∅";
  find("glyph").className = colorsOf(selected)[stored(selected, place)];
  find("glyph").classList.toggle("long", find("glyph").textContent.length > 3);
  find("where").textContent =
    `${page.noun} ${whole(place + 1)} of ${whole(pieces.length)}`;
  const codes = Array.from(piece, (char) =>
    "U+" + char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0"),
  );
  find("code").textContent = `line ${whole(lineOf[place])}, ${codes.slice(0, 4).join(" ")}`;
  find("value").textContent = `${figure(value)} (${signed(away(selected, place))})`;
  find("value").parentElement.hidden = !isNeuron(selected);
  find("cost").textContent = `${bits[place].toFixed(2)} bits`;
  nextLines.forEach((line, rank) => {
    const share = probability(place, rank);
    const label = labelOf(place, rank);
    line.children[0].textContent = named(label);
    line.children[1].firstChild.style.width = `${100 * share}%`;
    line.children[2].textContent = percent(share);
    line.className = label === pieces[place + 1] ? "came" : "";
    line.title = line.className ? "This is what came." : "";
  });
  furthest(place).forEach((number, rank) => {
    const [name, distance, amount] = farLines[rank].children;
    name.textContent = rows[number].name;
    name.setAttribute("aria-label", `Colour the text by ${rows[number].name}`);
    name.row = number;
    distance.textContent = signed(away(number, place));
    amount.textContent = figure(valueAt(number, place));
  });
  const marker = find("marker");
  marker.hidden = false;
  marker.style.left = `${100 * Math.min(Math.max((value - row.low) / (row.high - row.low), 0), 1)}%`;
}

function sayPlace(place) {
  const row = rows[selected];
  const next = nextLines.map((_, rank) => `${named(labelOf(place, rank))} ${percent(probability(place, rank))}`);
  find("status").textContent =
    `${named(pieces[place])}, ${page.noun} ${place + 1}; ${row.name} ` +
    `${figure(valueAt(selected, place))}; ${bits[place].toFixed(2)} bits; next: ${next.join(", ")}`;
}
