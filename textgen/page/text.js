// A text on the page: an element for every character, drawn once and then only coloured anew.

const NAMES = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;

function hex(char) {
  const code = char.codePointAt(0);
  if (code < 0x100) return "\\x" + code.toString(16).padStart(2, "0");
  if (code < 0x10000) return "\\u" + code.toString(16).padStart(4, "0");
  return "\\U" + code.toString(16).padStart(8, "0");
}

// A piece as it is named beside the text: nothing in it invisible.
function named(piece) {
  if (piece === " ") return word("space");
  const shown = Array.from(piece, (char) =>
    NAMES[char] ?? (HIDDEN.test(char) ? hex(char) : char),
  ).join("");
  return /^\p{M}/u.test(shown) ? "◌" + shown : shown;
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

const SEGMENTS = new Intl.Segmenter();

class TextView {
  pieces = [];
  spans = []; // one for each cluster: what is drawn in one place, a piece with the marks after it
  firstPlace = []; // of each cluster
  clusterOf = []; // of each place
  lineOf = [];
  #base = []; // the classes of each cluster that its colour does not change
  #drawn = []; // the colour it has
  #given = 0;

  constructor(element) {
    this.element = element;
    element.replaceChildren();
    element.setAttribute("role", "application");
  }

  // Draw these pieces, the first `given` of them as somebody's own; what stands there stays.
  // isUnknown: whether the model does not know a place's piece.
  show(pieces, given = 0, isUnknown = () => false) {
    let same = 0;
    const most = given === this.#given ? pieces.length : Math.min(given, this.#given);
    while (same < most && pieces[same] === this.pieces[same]) same++;
    this.#given = given;
    if (same === pieces.length && same === this.pieces.length) return;
    // The last cluster that stays may grow: a mark can follow it.
    const cluster = same > 0 ? this.clusterOf[same - 1] : 0;
    const place = same > 0 ? this.firstPlace[cluster] : 0;
    for (const span of this.spans.splice(cluster)) span.remove();
    for (const each of [this.firstPlace, this.#base, this.#drawn]) each.length = cluster;
    for (const each of [this.clusterOf, this.lineOf]) each.length = place;
    this.pieces = pieces.slice();
    this.#extend(place, isUnknown);
  }

  #extend(from, isUnknown) {
    const pieces = this.pieces.slice(from);
    const starts = new Set();
    for (const { index } of SEGMENTS.segment(pieces.join(""))) starts.add(index);
    const contents = [];
    const first = this.spans.length;
    let offset = 0;
    let line = from > 0 ? this.#lineAfter(from - 1) : 1;
    pieces.forEach((piece, number) => {
      const joined = !piece || (!starts.has(offset) && piece[0] !== "\n");
      if (joined && contents.length) contents[contents.length - 1] += piece;
      else {
        contents.push(piece);
        this.firstPlace.push(from + number);
      }
      this.clusterOf.push(first + contents.length - 1);
      this.lineOf.push(line);
      line = this.#lineAfter(from + number);
      offset += piece.length;
    });
    const drawing = document.createDocumentFragment();
    contents.forEach((content, number) => {
      const span = document.createElement("span");
      const cluster = first + number;
      const begin = this.firstPlace[cluster];
      const kind = (begin < this.#given ? "given " : "") + (isUnknown(begin) ? "unknown " : "");
      this.#base.push(fill(span, content) + kind);
      this.#drawn.push(null);
      span.cluster = cluster;
      this.spans.push(span);
      drawing.append(span);
    });
    this.element.append(drawing); // quick only because it has no dir="auto": style does that
  }

  #lineAfter(place) {
    return this.lineOf[place] + this.pieces[place].split("\n").length - 1;
  }

  spanAt(place) {
    return this.spans[this.clusterOf[place]];
  }

  // `color` gives the class of a place.
  paint(color) {
    for (let cluster = 0; cluster < this.spans.length; cluster++) {
      const wanted = color(this.firstPlace[cluster]);
      if (this.#drawn[cluster] === wanted) continue;
      this.spans[cluster].className = this.#base[cluster] + wanted;
      this.#drawn[cluster] = wanted;
    }
  }

  // The place that the panel shows.
  mark(place) {
    this.element.querySelector("[data-here]")?.removeAttribute("data-here");
    this.spanAt(place)?.setAttribute("data-here", "");
  }

  // The place in the line above or below that is nearest; the same place where there is none.
  verticalNeighbour(place, direction) {
    const here = this.spanAt(place).getBoundingClientRect();
    const middle = here.left + here.width / 2;
    let line = null;
    let best = null;
    let distance = Infinity;
    for (let c = this.clusterOf[place] + direction; c >= 0 && c < this.spans.length; c += direction) {
      const box = this.spans[c].getClientRects()[0];
      if (!box) continue;
      const middleOfBox = (box.top + box.bottom) / 2;
      const otherLine = direction < 0 ? middleOfBox < here.top : middleOfBox > here.bottom;
      if (line === null && !otherLine) continue;
      if (line === null) line = box;
      else if (middleOfBox < line.top || middleOfBox > line.bottom) break;
      const away = Math.abs(box.left + box.width / 2 - middle);
      if (away < distance) [best, distance] = [c, away];
    }
    return best === null ? place : this.firstPlace[best];
  }

  // The first or last place of the line as it is broken on the screen.
  lineEnd(place, direction) {
    const here = this.spanAt(place).getClientRects()[0];
    let last = this.clusterOf[place];
    for (let c = last + direction; c >= 0 && c < this.spans.length; c += direction) {
      const box = this.spans[c].getClientRects()[0];
      if (box && (box.bottom <= here.top || box.top >= here.bottom)) break;
      last = c;
    }
    return this.firstPlace[last];
  }
}
