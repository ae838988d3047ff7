// The text: an element for every character, drawn once and then only coloured anew.

const text = find("text");
const NAMES = { "\n": "\\n", "\r": "\\r", "\t": "\\t", " ": "space" };
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;

function hex(char) {
  const code = char.codePointAt(0);
  if (code < 0x100) return "\\x" + code.toString(16).padStart(2, "0");
  if (code < 0x10000) return "\\u" + code.toString(16).padStart(4, "0");
  return "\\U" + code.toString(16).padStart(8, "0");
}

// A piece as it is named beside the text: nothing in it invisible.
function named(piece) {
  if (NAMES[piece]) return NAMES[piece];
  const shown = Array.from(piece, (char) =>
    NAMES[char] && char !== " " ? NAMES[char] : HIDDEN.test(char) ? hex(char) : char,
  ).join("");
  return /^\p{M}/u.test(shown) ? "◌" + shown : shown;
}

// A cluster is what is drawn in one place: a piece with the marks that follow it.
const clusterOf = new Uint32Array(pieces.length);
const firstPlace = []; // of each cluster
const clusterText = [];
const lineOf = new Uint32Array(pieces.length);
{
  const whole = pieces.join("");
  const starts = new Uint8Array(whole.length + 1);
  for (const { index } of new Intl.Segmenter().segment(whole)) starts[index] = 1;
  let offset = 0;
  let line = 1;
  pieces.forEach((piece, place) => {
    const joined = !piece || (!starts[offset] && piece[0] !== "\n");
    if (joined && clusterText.length) clusterText[clusterText.length - 1] += piece;
    else {
      clusterText.push(piece);
      firstPlace.push(place);
    }
    clusterOf[place] = clusterText.length - 1;
    lineOf[place] = line;
    if (piece.includes("\n")) line += piece.split("\n").length - 1;
    offset += piece.length;
  });
}

// In an emoji of several characters the joiners and tags are what makes it one.
const drawable = (char, content) =>
  !HIDDEN.test(char) ||
  (/^(?:\u200d|[\u{e0020}-\u{e007f}])$/u.test(char) && /^\p{Extended_Pictographic}/u.test(content));

function fill(span, content) {
  if (content === "\n") return ((span.textContent = "\n"), "newline ");
  if (content === "\t") return ((span.textContent = "\t"), "tab ");
  let run = "";
  for (const char of content) {
    if (drawable(char, content)) run += char;
    else {
      span.append(run);
      run = "";
      if (char === "\n" || char === "\t") span.append(make("b", char === "\n" ? "newline" : "tab", char));
      else span.append(make("b", "control", hex(char)));
    }
  }
  // A mark without a base needs something to stand on.
  span.append(span.childNodes.length === 0 && /^\p{M}/u.test(run) ? "◌" + run : run);
  return "";
}

const base = []; // the classes of each cluster that its colour does not change
const drawn = []; // the colour it has
const spans = clusterText.map((content, cluster) => {
  const span = document.createElement("span");
  base.push(fill(span, content));
  drawn.push("");
  span.cluster = cluster;
  return span;
});
{
  const whole = document.createDocumentFragment();
  for (const span of spans) whole.append(span);
  text.replaceChildren(whole); // quick only because `text` has no dir="auto": style does that
}
text.setAttribute("role", "application");
text.setAttribute("aria-label", "The text; arrow keys move from character to character");

function paintText(row) {
  const colors = colorsOf(row);
  const start = row * pieces.length;
  for (let cluster = 0; cluster < spans.length; cluster++) {
    const color = colors[values[start + firstPlace[cluster]]];
    if (drawn[cluster] !== color) {
      spans[cluster].className = base[cluster] + color;
      drawn[cluster] = color;
    }
  }
}

// The place in the line above or below that is nearest; the same place where there is none.
function verticalNeighbour(place, direction) {
  const here = spans[clusterOf[place]].getBoundingClientRect();
  const middle = here.left + here.width / 2;
  let line = null;
  let best = null;
  let distance = Infinity;
  for (let c = clusterOf[place] + direction; c >= 0 && c < spans.length; c += direction) {
    const box = spans[c].getClientRects()[0];
    if (!box) continue;
    const middleOfBox = (box.top + box.bottom) / 2;
    const otherLine = direction < 0 ? middleOfBox < here.top : middleOfBox > here.bottom;
    if (line === null && !otherLine) continue;
    if (line === null) line = box;
    else if (middleOfBox < line.top || middleOfBox > line.bottom) break;
    const away = Math.abs(box.left + box.width / 2 - middle);
    if (away < distance) [best, distance] = [c, away];
  }
  return best === null ? place : firstPlace[best];
}

// The first or last place of the line as it is broken on the screen.
function lineEnd(place, direction) {
  const here = spans[clusterOf[place]].getClientRects()[0];
  let last = clusterOf[place];
  for (let c = last + direction; c >= 0 && c < spans.length; c += direction) {
    const box = spans[c].getClientRects()[0];
    if (box && (box.bottom <= here.top || box.top >= here.bottom)) break;
    last = c;
  }
  return firstPlace[last];
}
