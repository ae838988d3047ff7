// A page of one text whose values stand in the file: `inspect --html`.

class RecordedReading {
  pieces = page.pieces;
  rows = page.rows;
  noun = page.noun;
  neurons = page.neurons;
  bits = new Float32Array(bytesOf("bits").buffer);
  #values = bytesOf("values"); // a row after the other
  #labels = new (page.labelBytes === 4 ? Uint32Array : Uint16Array)(bytesOf("next-labels").buffer);
  #shares = new Uint16Array(bytesOf("next-probabilities").buffer);

  valueAt(number, place) {
    const { minimum, maximum } = this.rows[number];
    const stored = this.#values[number * this.pieces.length + place];
    return minimum + (stored * (maximum - minimum)) / page.steps;
  }

  // What the model does not know is not in the file.
  isUnknown() {
    return false;
  }

  // The likeliest symbols after a place, each with its share.
  next(place) {
    return Array.from({ length: page.top }, (_, rank) => {
      const at = place * page.top + rank;
      return [page.labels[this.#labels[at]], this.#shares[at] / page.probabilityOne];
    });
  }
}

{
  const reader = new Reader(document.querySelector(".reading"), new RecordedReading());
  readers.push(reader);
  reader.draw();
  list.show(reader.reading);
  begin(reader, Math.max(page.rows.findIndex(isNeuron), 0));
}
