// Where a page of `textgen serve` has its values from: it asks the server that it came from for steps
// (/v1/textgen/steps). The server keeps nothing; where a text stands is told with each part of it.

const LONGEST_READ = Math.min(2000, page.served.read); // symbols that one request has read
const MOST_WAITS = 5; // so often a request is sent again that a busy server did not take on

// Why a request failed.
class NoAnswer extends Error {
  isForPeople = true;
}

function numbersOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let k = 0; k < bytes.length; k++) bytes[k] = binary.charCodeAt(k);
  return new Float32Array(bytes.buffer);
}

// The lines of an answer as they come.
async function* linesOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) yield JSON.parse(line);
    }
  } finally {
    await reader.cancel().catch(() => {}); // nobody reads on: the server stops
  }
}

async function answerTo(path, request, signal) {
  for (let sent = 1; ; sent++) {
    let answer;
    try {
      answer = await fetch(path, {
        method: "POST", signal, body: JSON.stringify(request), headers: { "content-type": "application/json" },
      });
    } catch (mistake) {
      signal?.throwIfAborted();
      throw new NoAnswer(mistake.message);
    }
    if (answer.ok) return answer;
    if (answer.status !== 429 || sent === MOST_WAITS) {
      const told = await answer.json().catch(() => null);
      throw new NoAnswer(told?.error?.message ?? `HTTP ${answer.status}`);
    }
    const seconds = Number(answer.headers.get("retry-after")) || 1;
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    signal?.throwIfAborted();
  }
}

// A text as a server has read it.
class ServedText extends TextSoFar {
  after = null; // where it stands, as the server calls it
  #positions = new Map(); // the same after so many symbols, where a place ends
  #pending = 0;
  #isUnknown = false;

  // Takes the steps of a part; `pieceOf` gives what a symbol prints, "" where the piece goes on.
  // Returns the new places.
  take({ ids, bits, next, values, after }, neurons, pieceOf) {
    const from = this.places.length;
    const numbers = numbersOf(values ?? "");
    ids.forEach((id, k) => {
      this.#pending += bits[k];
      this.#isUnknown ||= id === UNKNOWN;
      const piece = pieceOf(id, this.ids.length);
      this.ids.push(id);
      if (!piece) return;
      this.places.push({
        piece,
        values: numbers.subarray(k * neurons, (k + 1) * neurons),
        bits: this.#pending,
        isUnknown: this.#isUnknown,
        ids: next[k].map(([id]) => id),
        shares: next[k].map(([, share]) => share),
      });
      this.firstId.push(this.ids.length);
      this.#pending = 0;
      this.#isUnknown = false;
    });
    if (after) this.after = after;
    if ((this.firstId.at(-1) ?? 0) === this.ids.length) this.#positions.set(this.ids.length, this.after);
    return this.places.slice(from);
  }

  // After how many symbols, at most `count`, it is known where the text stood; and where.
  positionBefore(count) {
    let found = [0, null];
    for (const [after, position] of this.#positions) {
      if (after <= count && after > found[0]) found = [after, position];
    }
    return found;
  }

  // A text that begins as this one, with at most `count` of its places.
  beginning(count, holds) {
    const text = new ServedText(holds);
    const [symbols, after] = this.positionBefore(this.firstId[count - 1]);
    text.takeOver(this, this.placeOf(symbols));
    text.after = after;
    for (const [number, position] of this.#positions) {
      if (number <= symbols) text.#positions.set(number, position);
    }
    return text;
  }
}

class ServedSource extends Source {
  #texts = new KeptTexts();
  #quantity = null; // of which they have the values

  constructor(name, description) {
    super(name, description);
    this.description = description;
    // The server measures it where the state is carried on.
    this.canTellInfluence = page.served.influence && !description.history;
  }

  async read(text, { holds = [], quantity, signal }) {
    const read = await this.#textOf(text, holds, quantity, signal);
    return read.places.map((place) => this.told(place, place.values));
  }

  async *write(text, { holds = [], quantity, temperature, topP, seed, length, signal }) {
    const read = await this.#textOf(text, holds, quantity, signal);
    const decoder = new Decoder(this.vocabulary, { isStart: !read.ids.length });
    const asked = { temperature, top_p: topP, seed, quantity };
    for (let left = length; left > 0; ) {
      const before = read.ids.length;
      const lines = this.#steps(read.after, {
        ...asked,
        holds: holdsAt(holds, read.places.length),
        max_tokens: Math.min(left, page.served.tokens),
        draw: before,
        previous: read.ids.at(-1),
      }, signal);
      for await (const line of lines) {
        for (const place of read.take(line, this.#neurons, (id) => decoder.feed(id))) {
          left--;
          yield this.told(place, place.values);
        }
        if (line.finish === "end") return;
        if (line.finish && read.ids.length === before) throw new NoAnswer(line.notice);
      }
    }
  }

  // Null where it is not known: of a text under a hold.
  async influence(text, place, { holds = [], signal }) {
    if (holds.length) return null;
    const read = await this.#textOf(text, holds, this.#quantity, signal);
    const begin = Math.max(0, place + 1 - Math.min(REACH, page.served.read));
    const part = read.places.slice(begin, place + 1).map(({ piece }) => piece).join("");
    const request = { model: this.name, text: part, show: "influence", by: "gradient" };
    const answer = await answerTo("v1/textgen/trace", request, signal);
    const { rows } = await answer.json();
    const shares = new Float32Array(place + 1);
    rows[0].values.forEach((share, number) => (shares[begin + number] = share));
    return shares;
  }

  async equations(text, place, layer, unit, { holds = [], signal }) {
    const read = await this.#textOf(text, holds, this.#quantity, signal);
    const end = read.firstId[place];
    let [count, after] = read.positionBefore(end - 1);
    let told, notice;
    for (const part of this.#parts(read.ids.slice(0, end), count, (number) => read.holdsOf(number))) {
      const inside = part.end === end ? [layer, unit] : null;
      const request = { ids: part.ids, holds: part.holds, inside };
      for await (const line of this.#steps(after, request, signal)) {
        after = line.after ?? after;
        told = line.inside ?? told;
        notice = line.notice;
      }
    }
    if (!told) throw new NoAnswer(notice);
    const acting = read.holdsOf(end - 1);
    return equationLines(this.description, {
      ...told, isHeld: (quantity) => acting.some((hold) => this.#acts(hold, quantity, layer, unit)),
    });
  }

  get #neurons() {
    return this.layers * this.hidden;
  }

  // Whether a hold changes a quantity of a neuron.
  #acts(hold, quantity, layer, unit) {
    const { direction } = hold;
    const what = direction === undefined ? hold : this.directions[direction];
    return what.quantity === quantity && what.layer === layer && (what.unit ?? unit) === unit;
  }

  async *#steps(after, request, signal) {
    const all = request.holds.map(({ from, to, ...hold }) => hold);
    const holds = all.filter(({ label }) => label === undefined);
    const label = 1 + (all.find(({ label }) => label !== undefined)?.label ?? -1);
    const asked = { model: this.name, after, ...request, holds, ...(label && { label }) };
    const answer = await answerTo("v1/textgen/steps", asked, signal);
    for await (const line of linesOf(answer.body)) {
      signal?.throwIfAborted();
      if (line.error) throw new NoAnswer(line.error.message);
      yield line;
    }
  }

  // The symbols from a place on in parts that one request reads, each under the same holds.
  *#parts(ids, from, holdsOf) {
    for (let end; from < ids.length; from = end) {
      const holds = holdsOf(from);
      end = from + 1;
      while (end < ids.length && end - from < LONGEST_READ && alike(holdsOf(end), holds)) end++;
      yield { ids: ids.slice(from, end), holds, end };
    }
  }

  async #textOf(text, holds, quantity, signal) {
    if (quantity !== this.#quantity) this.#texts = new KeptTexts();
    this.#quantity = quantity;
    const kept = this.#texts;
    let read = kept.find(text, holds);
    if (!read) {
      const { ids, pieces } = this.vocabulary.encode(text);
      const [from, most] = kept.nearest(ids, holds);
      read = from ? from.beginning(most, holds) : new ServedText(holds);
      kept.keep(read);
      // The place of a symbol that is still to be read, by what the pieces before it print.
      const places = [];
      let place = 0;
      for (const piece of pieces) places.push(piece ? place++ : place);
      const holdsOf = (number) => holdsAt(holds, places[number]);
      while (read.ids.length < ids.length) {
        const before = read.ids.length;
        const [part] = this.#parts(ids, before, holdsOf);
        const request = { ids: part.ids, holds: part.holds, quantity };
        for await (const line of this.#steps(read.after, request, signal)) {
          read.take(line, this.#neurons, (_, number) => pieces[number]);
          if (line.finish && read.ids.length === before) throw new NoAnswer(line.notice);
        }
      }
    }
    kept.keep(read);
    return read;
  }
}

const openSource = ({ name, description }) => new ServedSource(name, description);
